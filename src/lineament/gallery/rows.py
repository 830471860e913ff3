"""What is stored of a sample, and the few sums that the gallery's parts share."""

import secrets
import time
from dataclasses import dataclass

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.core.errors import EmbeddingSpaceMismatch
from lineament.core.types import Embedding, OperatingPoint
from lineament.gallery.types import EnrollmentRefusal, NewSample

STORED = np.dtype("<f4")
"""Templates are stored as little-endian float32, bit for bit as they came."""


class Refused(Exception):
    """Carries a refusal out of a transaction, so that nothing of it stays."""

    def __init__(self, refusal: EnrollmentRefusal) -> None:
        super().__init__(refusal.kind)
        self.refusal = refusal


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What is stored of one sample."""

    subject_id: str
    sample_id: str
    vector: FloatArray
    source_sha256: str
    created_s: float
    quality: float | None = None
    crop: bytes = b""

    @property
    def blob(self) -> bytes:
        """The template's bytes."""
        return self.vector.astype(STORED).tobytes()


@dataclass(frozen=True, slots=True, eq=False)
class StoredTemplate:
    """A template with the names that belong to it."""

    sample_id: str
    subject_id: str
    vector: FloatArray


def new_row(sample: NewSample) -> Row:
    """A row for a sample that is enrolled now; chooses its id when there is none."""
    return Row(
        sample.subject_id,
        sample.sample_id or f"sample-{secrets.token_hex(8)}",
        sample.embedding.vector,
        sample.source_sha256,
        time.time(),
        sample.quality,
        sample.crop,
    )


def template_label(space: str, uid: bytes) -> bytes:
    """What a sealed template is bound to."""
    return b"template|" + space.encode() + b"|" + uid


def crop_label(uid: bytes) -> bytes:
    """What a sealed picture is bound to."""
    return b"crop|" + uid


def space_mismatch(held: str, offered: str) -> EmbeddingSpaceMismatch:
    """The error for templates that cannot be compared with those of the gallery."""
    return EmbeddingSpaceMismatch(
        f"the gallery holds templates of {held}, got {offered}; use the pipeline that made them"
    )


def require_space(held: str, embedding: Embedding, point: OperatingPoint | None = None) -> None:
    """Check that a template, and the point at which it is decided, are of the space that a gallery holds.

    Raises:
        EmbeddingSpaceMismatch: one of them is of another space; a point may be of none.
    """
    if embedding.space != held:
        raise space_mismatch(held, embedding.space)
    if point is not None and point.space not in ("", held):
        raise space_mismatch(held, point.space)


def cosine(a: FloatArray, b: FloatArray) -> float:
    """Cosine similarity of two vectors in double precision, in [-1, 1]."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))
