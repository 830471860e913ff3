"""Weights that every rank holds a share of, made whole for a checkpoint and shared out again."""

from collections.abc import Mapping
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from lineament.core.errors import TrainingError
from lineament.engine.ema import holding


class Sharded(Protocol):
    """A module that holds other weights on every rank.

    Both methods are called on all ranks at once and deal with the values of the moment as they are: the
    optimiser's momentum travels through them as well.

    Attributes:
        sharded: true.
    """

    sharded: bool

    def consolidated(self) -> Mapping[str, Tensor]:
        """State of the whole, the same whatever the number of ranks."""
        ...

    def load_consolidated(self, state: Mapping[str, Tensor]) -> None:
        """Take this rank's share of what :meth:`consolidated` gave, on any number of ranks."""
        ...


def sharded_modules(modules: nn.Module) -> dict[str, nn.Module]:
    """Modules with a truthy attribute ``sharded``, by dotted name; those inside another one are its own affair."""
    found: dict[str, nn.Module] = {}
    for name, module in modules.named_modules():
        inside = any(name.startswith(outer + ".") for outer in found)
        if getattr(module, "sharded", False) and not inside:
            found[name] = module
    return found


def _parts(values: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key[len(name) + 1 :]: value for key, value in values.items() if key.startswith(name + ".")}


@torch.no_grad()
def made_whole(modules: nn.Module, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Values of this rank, with those of sharded modules made whole. All ranks call it.

    Args:
        modules: what is trained.
        values: one tensor for each name of its state, or for some of them (a momentum, a mean), of the shape
            that the weight has on this rank.
    """
    whole = dict(values)
    for name, module in sharded_modules(modules).items():
        own = _parts(values, name)
        for key in own:
            del whole[f"{name}.{key}"]
        if own:
            with holding(module, own):
                state = cast(Sharded, module).consolidated()
                whole.update({f"{name}.{key}": value.clone() for key, value in state.items()})
    return whole


@torch.no_grad()
def shared_out(modules: nn.Module, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of :func:`made_whole`, on any number of ranks; the modules' own values stay."""
    values = dict(whole)
    for name, module in sharded_modules(modules).items():
        state = _parts(whole, name)
        for key in state:
            del values[f"{name}.{key}"]
        if state:
            with holding(module, module.state_dict()):
                try:
                    cast(Sharded, module).load_consolidated(state)
                except (KeyError, RuntimeError, ValueError) as error:
                    raise TrainingError(
                        f"weights of {name!r} are those of another module: {error}"
                    ) from error
                values.update({f"{name}.{key}": value.clone() for key, value in module.state_dict().items()})
    return values
