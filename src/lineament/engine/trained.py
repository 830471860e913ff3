"""Everything that a step changes: weights, optimiser, loss scale, mean of the weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lineament.core.errors import ConfigError, TrainingError
from lineament.engine.batch_norm import synchronise_batch_norm
from lineament.engine.checkpoint import Tensors
from lineament.engine.config import LoopConfig
from lineament.engine.distributed import Ranks, average_gradients, broadcast_modules, share_overflow
from lineament.engine.ema import WeightMean, holding
from lineament.engine.optim import build_optimisers
from lineament.engine.row_sgd import gradient_values
from lineament.engine.schedule import learning_rate_factor
from lineament.engine.sharding import made_whole, sharded_modules, shared_out
from lineament.engine.task import StepLoss, Task

_DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


@dataclass(slots=True, eq=False)
class Trained:
    """The state of a run on this rank.

    Attributes:
        modules: of the task, on the device.
        optimisers: of all parameters that require a gradient.
        scaler: loss scale; does nothing unless the precision is "f16".
        mean: running mean of the weights, if there is one.
        averaged: parameters whose gradients are averaged over the ranks.
        sharded: parameters of sharded modules, whose gradients are not.
        ranks: this rank among all.
        config: settings.
    """

    modules: nn.ModuleDict
    optimisers: list[torch.optim.Optimizer]
    scaler: torch.amp.GradScaler
    mean: WeightMean | None
    averaged: list[nn.Parameter]
    sharded: list[nn.Parameter]
    ranks: Ranks
    config: LoopConfig

    def begin(self, step: int) -> float:
        """Set the learning rate and the random numbers of a step; gives the learning rate."""
        factor = learning_rate_factor(self.config.schedule, step, self.config.steps)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.config.optim.lr * group["lr_factor"] * factor
        # Numbers that follow from the step alone need no state in a checkpoint and fit any number of ranks.
        seed = np.random.SeedSequence([self.config.seed, step, self.ranks.rank]).generate_state(1, np.uint64)[
            0
        ]
        # Not torch.manual_seed: without a card it remembers every call, in case one is used later.
        torch.default_generator.manual_seed(int(seed))
        if self.config.device == "cuda":
            torch.cuda.manual_seed(int(seed))
        return self.config.optim.lr * factor

    def backward(self, task: Task, batch: Any) -> StepLoss:
        """Loss of one batch; its share of the gradient is added up."""
        dtype = _DTYPES[self.config.precision]
        with torch.autocast(self.config.device, dtype=dtype, enabled=dtype != torch.float32):
            loss = task.loss(batch)
        scaled: Tensor = self.scaler.scale(loss.total / self.config.accumulate)
        scaled.backward()  # type: ignore[no-untyped-call]
        return replace(loss, total=loss.total.detach())

    def update(self, loss: Tensor, stop: bool) -> tuple[float, float, bool]:
        """Average and clip the gradients and change the weights.

        Args:
            loss: () mean of this rank.
            stop: this rank was asked to stop.

        Returns:
            Mean loss of all ranks, norm of all gradients before clipping, whether any rank was asked to stop.
        """
        self._add_up_rows()
        if self.ranks.world > 1:
            average_gradients(self.averaged, self.ranks.world)
        if self.sharded and self.scaler.is_enabled():
            share_overflow(self.averaged, self.sharded, self.ranks.world)
        for optimiser in self.optimisers:
            self.scaler.unscale_(optimiser)
        own = [gradient_values(p.grad) for p in self.sharded if p.grad is not None]
        alike = [p.grad for p in self.averaged if p.grad is not None]
        told = torch.stack([
            loss.detach().float() / self.ranks.world,
            torch.nn.utils.get_total_norm(own).to(loss.device).square(),
            torch.tensor(float(stop), device=loss.device),
        ])  # fmt: skip
        if self.ranks.world > 1:
            torch.distributed.all_reduce(told)
        norm = (torch.nn.utils.get_total_norm(alike).to(loss.device).square() + told[1]).sqrt()
        if self.config.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.averaged, self.config.clip_norm, norm)
            for gradient in own:
                gradient.mul_((self.config.clip_norm / (norm + 1e-6)).clamp(max=1.0))
        for optimiser in self.optimisers:
            self.scaler.step(optimiser)
            optimiser.zero_grad(set_to_none=True)
        self.scaler.update()
        # The one wait for the device in a step: by now all of the step's work is queued.
        mean, norm_found, stops = torch.stack([told[0], norm, told[2]]).tolist()
        return mean, norm_found, stops > 0

    def _add_up_rows(self) -> None:
        """Give each sparse gradient every row once."""
        for parameter in self.sharded:
            if parameter.grad is not None and parameter.grad.is_sparse:
                if self.config.optim.kind == "adamw":
                    raise ConfigError(
                        "optim: 'adamw' cannot train a sampled classifier: use 'sgd' or sample all"
                    )
                parameter.grad = parameter.grad.coalesce()

    @contextmanager
    def measured(self) -> Iterator[None]:
        """For a while the modules hold the weights that are measured, in evaluation mode."""
        self.modules.eval()
        try:
            with torch.no_grad(), holding(self.modules, {} if self.mean is None else self.mean.values):
                yield
        finally:
            self.modules.train()

    def finish(self) -> None:
        """Leave the modules with the weights that were measured, in evaluation mode."""
        if self.mean is not None:
            _assign(self.modules.state_dict(), self.mean.values)
        self.modules.eval()

    def tensors(self) -> Tensors:
        """What a checkpoint holds; all ranks call it."""
        names: dict[Tensor, str] = {p: name for name, p in self.modules.named_parameters()}
        kinds: dict[str, dict[str, Tensor]] = {}
        states = [item for optimiser in self.optimisers for item in optimiser.state.items()]
        for parameter, state in states:
            for kind, value in state.items():
                if isinstance(value, Tensor):
                    kinds.setdefault(kind, {})[names[parameter]] = value
        optimiser = {
            f"{kind}/{name}": value
            for kind, values in kinds.items()
            for name, value in (values if kind == "step" else made_whole(self.modules, values)).items()
        }
        files = {"modules": made_whole(self.modules, self.modules.state_dict()), "optimiser": optimiser}
        return files if self.mean is None else files | {"ema": made_whole(self.modules, self.mean.values)}

    def restore(self, tensors: Tensors) -> None:
        """Take what :meth:`tensors` gave, on any number of ranks."""
        _assign(self.modules.state_dict(), shared_out(self.modules, tensors["modules"]))
        if self.mean is not None:
            _assign(self.mean.values, shared_out(self.modules, tensors["ema"]))
        kinds: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors["optimiser"].items():
            kind, _, name = key.partition("/")
            kinds.setdefault(kind, {})[name] = value
        parameters = dict(self.modules.named_parameters())
        owners = {p: o for o in self.optimisers for group in o.param_groups for p in group["params"]}
        for kind, whole in kinds.items():
            for name, value in (whole if kind == "step" else shared_out(self.modules, whole)).items():
                if name not in parameters:  # a buffer that a sharded module makes whole as well
                    continue
                owner = parameters[name]
                # The fused optimisers count their steps where the parameter lies.
                own = (
                    value.to(owner.device, copy=True)
                    if kind == "step"
                    else torch.empty_like(owner).copy_(value)
                )
                owners[owner].state[owner][kind] = own.detach()


@torch.no_grad()
def _assign(target: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    faults = [f"{name} missing" for name in sorted(target.keys() - values.keys())]
    faults += [f"{name} unknown" for name in sorted(values.keys() - target.keys())]
    faults += [
        f"{name} {tuple(values[name].shape)} instead of {tuple(target[name].shape)}"
        for name in sorted(target.keys() & values.keys())
        if target[name].shape != values[name].shape
    ]
    if faults:
        raise TrainingError(
            f"the checkpoint is of other modules: {'; '.join(faults[:8])}; make the same ones"
        )
    for name, value in values.items():
        target[name].copy_(value)


def prepare(modules: nn.ModuleDict, config: LoopConfig, ranks: Ranks) -> Trained:
    """Put the modules on the device and build what trains them.

    Raises:
        ConfigError: no such device, or settings that do not fit the modules.
    """
    if config.device == "cuda":
        if ranks.local >= torch.cuda.device_count():
            raise ConfigError(
                f"device 'cuda' needs {ranks.local + 1} card(s), found {torch.cuda.device_count()}: use 'cpu'"
            )
        torch.cuda.set_device(ranks.local)
    modules.to(config.device)
    if config.channels_last:
        modules.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.sync_batch_norm and ranks.world > 1:
        synchronise_batch_norm(modules)
    modules.train()
    shards = sharded_modules(modules)
    inside = {p for module in shards.values() for p in module.parameters()}
    if ranks.world > 1:
        shared = (n for n in modules.state_dict() if not any(n.startswith(f"{s}.") for s in shards))
        broadcast_modules(modules, list(shared))
    if config.compile:
        for name, module in modules.items():
            if name not in shards:
                module.compile()
    optimisers = build_optimisers(modules, config.optim, inside)
    trained = [p for optimiser in optimisers for group in optimiser.param_groups for p in group["params"]]
    return Trained(
        modules,
        optimisers,
        torch.amp.GradScaler(config.device, enabled=config.precision == "f16"),
        None if config.ema_decay is None else WeightMean(modules, config.ema_decay),
        [p for p in trained if p not in inside],
        [p for p in trained if p in inside],
        ranks,
        config,
    )
