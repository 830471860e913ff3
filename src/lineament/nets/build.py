"""Backbones by name, as run configurations say them."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType

from lineament.nets.base import Backbone, InputSize
from lineament.nets.inception_resnet_v1 import inception_resnet_v1
from lineament.nets.iresnet import UNITS as IRESNET_UNITS
from lineament.nets.iresnet import OutputSetting, iresnet
from lineament.nets.mobilefacenet import mobilefacenet
from lineament.nets.sphere_resnet import UNITS as SPHERE_UNITS
from lineament.nets.sphere_resnet import sphere_resnet
from lineament.nets.thin_net import thin_net

_OUTPUT_SETTINGS: tuple[OutputSetting, ...] = ("A", "B", "C", "D")
_THIN_WIDTHS = (16, 24, 32, 48, 64)

BACKBONES: Mapping[str, Callable[..., Backbone]] = MappingProxyType(
    {
        "inception_resnet_v1": inception_resnet_v1,
        "mobilefacenet": mobilefacenet,
        **{f"iresnet{depth}": partial(iresnet, depth) for depth in IRESNET_UNITS},
        **{f"iresnet{depth}_s": partial(iresnet, depth, input_setting="S") for depth in IRESNET_UNITS},
        **{
            f"iresnet{depth}_{setting.lower()}": partial(iresnet, depth, output_setting=setting)
            for depth in IRESNET_UNITS
            for setting in _OUTPUT_SETTINGS
        },
        **{f"sphere_resnet{depth}": partial(sphere_resnet, depth) for depth in SPHERE_UNITS},
        **{f"thin_net{width}": partial(thin_net, width) for width in _THIN_WIDTHS},
    }
)
"""Networks by name; each takes ``input_size`` and ``embedding`` and has the published ones by default.

``iresnet50`` is LResNet50E-IR; ``_s`` is the input setting S, ``_a`` to ``_d`` the other output settings.
"""


def build_backbone(name: str, input_size: InputSize, embedding: int) -> Backbone:
    """A freshly initialised network; the caller seeds torch.

    Args:
        name: a key of :data:`BACKBONES`.
        input_size: height and width of the pictures, px.
        embedding: D, length of the features.

    Raises:
        ValueError: no network has that name (the nearest one is named), or it does not allow the size.
    """
    if name not in BACKBONES:
        near = get_close_matches(name, BACKBONES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(BACKBONES))}"
        raise ValueError(f"no backbone is called {name!r}{hint}")
    return BACKBONES[name](input_size=input_size, embedding=embedding)
