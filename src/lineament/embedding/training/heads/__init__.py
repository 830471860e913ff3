"""Heads: features and labels in, a loss out."""

from lineament.embedding.training.heads.adaptive import AdaFace, MagFace, SphereFace
from lineament.embedding.training.heads.base import Head
from lineament.embedding.training.heads.build import HEADS, HeadFactory, build_head
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
from lineament.embedding.training.heads.pairs import (
    MININGS,
    CirclePairs,
    Contrastive,
    CosineTriplet,
    EuclideanTriplet,
)
from lineament.embedding.training.heads.partial_fc import PartialFc
from lineament.embedding.training.heads.softmax import (
    Crystal,
    Softmax,
    SoftmaxCenter,
    crystal_radius_bound,
)

__all__ = [
    "HEADS",
    "MININGS",
    "AdaFace",
    "AmSoftmax",
    "ArcFace",
    "Circle",
    "CirclePairs",
    "Classifier",
    "CombinedMargin",
    "Contrastive",
    "CosineTriplet",
    "Crystal",
    "EuclideanTriplet",
    "Head",
    "HeadFactory",
    "HeadModule",
    "MagFace",
    "Margin",
    "NormalisedSoftmax",
    "PartialFc",
    "Softmax",
    "SoftmaxCenter",
    "SphereFace",
    "build_head",
    "crystal_radius_bound",
]
