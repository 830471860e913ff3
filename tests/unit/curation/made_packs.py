"""Packs in memory, of drawn faces."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from lineament.core.errors import DataError
from lineament.imaging import encode_png
from lineament.packs import LabelArray, Record
from lineament.testing import draw_face


@dataclass
class MadePack:
    """Records at hand; a record without bytes cannot be read."""

    subjects: Sequence[str]
    names: Sequence[str]
    labels: LabelArray
    images: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Record:
        if not self.images[index]:
            raise DataError(f"record {index} ({self.names[index]}) cannot be read: truncated")
        return Record(self.names[index], int(self.labels[index]), self.images[index])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def made_pack(rows: Sequence[tuple[str, bytes]]) -> MadePack:
    """Names "subject/file" with the bytes of each."""
    subjects = list(dict.fromkeys(name.partition("/")[0] for name, _ in rows))
    labels = np.array([subjects.index(name.partition("/")[0]) for name, _ in rows], np.int64)
    return MadePack(subjects, [name for name, _ in rows], labels, [image for _, image in rows])


def crop(seed: int, noise: int = 0) -> np.ndarray:
    """An aligned crop of a drawn person, with seeded noise."""
    pixels = draw_face(112, seed).pixels.astype(np.int64)
    shift = np.random.default_rng([seed, noise]).integers(-8, 9, pixels.shape) if noise else 0
    return np.clip(pixels + shift, 0, 255).astype(np.uint8)


def crop_png(seed: int, noise: int = 0) -> bytes:
    return encode_png(crop(seed, noise))
