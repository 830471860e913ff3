"""Training of embedders: data, heads, the run and its export. Needs the extra ``train``."""

from lineament.embedding.training.augment import Augmentation
from lineament.embedding.training.config import (
    AnswersConfig,
    BackboneConfig,
    DataConfig,
    DistillationConfig,
    EmbeddingConfig,
    HeadConfig,
    InputConfig,
    StartConfig,
)
from lineament.embedding.training.train import train

__all__ = [
    "AnswersConfig",
    "Augmentation",
    "BackboneConfig",
    "DataConfig",
    "DistillationConfig",
    "EmbeddingConfig",
    "HeadConfig",
    "InputConfig",
    "StartConfig",
    "train",
]
