"""Heads by name."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from lineament.core.errors import ConfigError
from lineament.embedding.training.heads.adaptive import AdaFace, MagFace, SphereFace
from lineament.embedding.training.heads.classifier import Classifier
from lineament.embedding.training.heads.margins import (
    AmSoftmax,
    ArcFace,
    Circle,
    CombinedMargin,
    Margin,
    NormalisedSoftmax,
)
from lineament.embedding.training.heads.module import HeadModule
from lineament.embedding.training.heads.pairs import CirclePairs, Contrastive, CosineTriplet, EuclideanTriplet
from lineament.embedding.training.heads.partial_fc import PartialFc
from lineament.embedding.training.heads.softmax import Crystal, Softmax, SoftmaxCenter


@dataclass(frozen=True, slots=True)
class HeadFactory:
    """Makes one kind of head.

    Attributes:
        make: ``make(dimension, classes, **settings)``; ValueError for settings out of range.
        settings: default of each setting, by name.
    """

    make: Callable[..., HeadModule]
    settings: Mapping[str, object]

    def __call__(self, dimension: int, classes: int, /, **settings: object) -> HeadModule:
        """A fresh head; see :func:`build_head`."""
        return self.make(dimension, classes, **settings)


def _defaults(*makers: Callable[..., object]) -> Mapping[str, object]:
    return {
        name: parameter.default
        for maker in makers
        for name, parameter in inspect.signature(maker).parameters.items()
        if parameter.default is not parameter.empty
    }


def _with_margin(
    head: Callable[..., HeadModule],
    margin: Callable[..., Margin],
    dimension: int,
    classes: int,
    /,
    **settings: object,
) -> HeadModule:
    of_margin = {name: value for name, value in settings.items() if name in _defaults(margin)}
    of_head = {name: value for name, value in settings.items() if name not in of_margin}
    faults, rule = [], margin()
    try:
        rule = margin(**of_margin)
    except ValueError as error:
        faults.append(str(error))
    try:
        made = head(dimension, classes, rule, **of_head)
    except ValueError as error:
        faults.append(str(error))
    if faults:
        raise ValueError("; ".join(faults))
    return made


_MARGINS: Mapping[str, Callable[..., Margin]] = {
    "adaface": AdaFace,
    "am-softmax": AmSoftmax,
    "arcface": ArcFace,
    "circle": Circle,
    "combined": CombinedMargin,
    "magface": MagFace,
    "normalised-softmax": NormalisedSoftmax,
    "sphereface": SphereFace,
}
_PLAIN: Mapping[str, Callable[..., HeadModule]] = {
    "circle-pairs": CirclePairs,
    "contrastive": Contrastive,
    "crystal": Crystal,
    "softmax": Softmax,
    "softmax-center": SoftmaxCenter,
    "triplet-cosine": CosineTriplet,
    "triplet-euclidean": EuclideanTriplet,
}


def _factories() -> dict[str, HeadFactory]:
    found = {name: HeadFactory(make, _defaults(make)) for name, make in _PLAIN.items()}
    for name, margin in _MARGINS.items():
        found[name] = HeadFactory(partial(_with_margin, Classifier, margin), _defaults(Classifier, margin))
        found[f"partial-{name}"] = HeadFactory(
            partial(_with_margin, PartialFc, margin), _defaults(PartialFc, margin)
        )
    subcenters = {**found["arcface"].settings, "subcenters": 3}
    found["subcenter-arcface"] = HeadFactory(
        lambda dimension, classes, **settings: found["arcface"](
            dimension, classes, **{"subcenters": 3, **settings}
        ),
        subcenters,
    )
    return dict(sorted(found.items()))


HEADS: Mapping[str, HeadFactory] = MappingProxyType(_factories())
"""Every kind of head by name. ``partial-*`` share their classes out over the ranks of a run."""


def build_head(name: str, dimension: int, classes: int, **settings: object) -> HeadModule:
    """A fresh head.

    Args:
        name: one of :data:`HEADS`.
        dimension: D, length of a feature.
        classes: C, number of training subjects.
        settings: what differs from :attr:`HeadFactory.settings`.

    Raises:
        ConfigError: no such head, no such settings, or settings out of range; all of them are named.
    """
    if name not in HEADS:
        raise ConfigError(f"no head {name!r}{_nearest(name, HEADS)}; heads are {', '.join(HEADS)}")
    factory = HEADS[name]
    unknown = [key for key in settings if key not in factory.settings]
    faults = [f"no setting {key!r}{_nearest(key, factory.settings)}" for key in unknown]
    try:
        head = factory(dimension, classes, **{k: v for k, v in settings.items() if k not in unknown})
    except ValueError as error:
        faults.append(str(error))
    if faults:
        known = ", ".join(factory.settings) or "none"
        raise ConfigError(f"head {name!r}: {'; '.join(faults)}; its settings are: {known}")
    return head


def _nearest(word: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
