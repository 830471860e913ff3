"""The values that a gallery takes and returns, and the check of its free-text ids."""

import math
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum

from lineament.core.errors import InputError
from lineament.core.types import Embedding
from lineament.gallery.receipts import RemovalReceipt

MAX_CROP_BYTES = 1 << 20
"""Bytes of an encoded crop that is kept with a sample."""
MAX_ID_LENGTH = 200
"""Characters of a subject or sample id."""
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_SHA256_LENGTH = 64


def check_id(text: str, name: str) -> str:
    """Return ``text`` when it can be a subject or sample id; it is kept verbatim, without normalisation.

    Raises:
        InputError: empty or blank, longer than :data:`MAX_ID_LENGTH` characters, or with control
            characters, line separators or lone surrogates.
    """
    if not isinstance(text, str):
        raise InputError(f"{name} must be text, got {type(text).__name__}")
    if not text.strip() or len(text) > MAX_ID_LENGTH:
        raise InputError(
            f"{name} must have 1 to {MAX_ID_LENGTH} characters that are not all blank, got {len(text)} characters"
        )
    bad = next((c for c in text if unicodedata.category(c) in _REFUSED_CATEGORIES), None)
    if bad is not None:
        raise InputError(f"{name} must not hold control characters or line breaks, got U+{ord(bad):04X}")
    return text


def check_sha256(text: str) -> str:
    """Return ``text`` when it is empty or a lower-case hex SHA-256.

    Raises:
        InputError: anything else.
    """
    if text and (len(text) != _SHA256_LENGTH or not set(text) <= set("0123456789abcdef")):
        raise InputError(
            f"source_sha256 must be empty or 64 lower-case hex digits, got {len(text)} characters"
        )
    return text


@dataclass(frozen=True, slots=True, eq=False)
class NewSample:
    """One sample to enroll.

    Attributes:
        subject_id: whose sample it is; the subject is made when it is new.
        embedding: its template.
        sample_id: unique in the gallery; None lets the gallery choose one.
        source_sha256: digest of the encoded picture; empty when the picture may not serve to find duplicates.
        quality: of the picture as its measure gives it, higher is better; None when it was not measured.
        crop: the aligned picture as PNG or JPEG bytes, kept to embed it anew with another model; empty keeps none.
    """

    subject_id: str
    embedding: Embedding
    sample_id: str | None = None
    source_sha256: str = ""
    quality: float | None = None
    crop: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        check_id(self.subject_id, "subject id")
        if self.sample_id is not None:
            check_id(self.sample_id, "sample id")
        check_sha256(self.source_sha256)
        if self.quality is not None and not math.isfinite(self.quality):
            raise InputError(f"quality must be finite or None, got {self.quality}")
        if len(self.crop) > MAX_CROP_BYTES:
            raise InputError(
                f"a crop may have {MAX_CROP_BYTES} bytes, got {len(self.crop)}; encode the aligned picture"
            )


class SampleState(StrEnum):
    """Whether a sample is searched."""

    ACTIVE = "active"
    """It is searched."""
    PENDING = "pending"
    """It waits for a decision and is not searched."""
    QUARANTINED = "quarantined"
    """It was taken out of the search until somebody releases or removes it."""
    REJECTED = "rejected"
    """It was refused: its template and crop are gone, its ids stay so that it is not offered again."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The receipt of a durable enrollment."""

    subject_id: str
    sample_id: str


class EnrollmentRefusalKind(StrEnum):
    """Why a sample was not enrolled."""

    DUPLICATE_SAMPLE = "duplicate_sample"
    """The gallery holds the same picture (equal ``source_sha256``) or the same vector."""
    SAMPLE_ID_TAKEN = "sample_id_taken"
    """Another sample has that id."""
    REJECTED_BEFORE = "rejected_before"
    """The same picture, vector or sample id was offered before and rejected."""
    IDENTITY_CONFLICT = "identity_conflict"
    """A sample of another subject is at least as similar as the caller's conflict threshold."""


@dataclass(frozen=True, slots=True)
class EnrollmentRefusal:
    """An expected outcome: nothing was enrolled, and what stands in the way.

    Attributes:
        kind: the rule that refused.
        subject_id: subject of the sample that stands in the way.
        sample_id: the sample that stands in the way.
        similarity: its cosine to the refused sample, in [-1, 1]; 1 for one that was rejected before, whose
            template is gone.
        position: index of the refused sample among those that were offered.
    """

    kind: EnrollmentRefusalKind
    subject_id: str
    sample_id: str
    similarity: float
    position: int = 0


@dataclass(frozen=True, slots=True)
class GallerySize:
    """Counts; a subject exists as long as it has a sample."""

    subjects: int
    samples: int


@dataclass(frozen=True, slots=True)
class SubjectSummary:
    """One subject.

    Attributes:
        subject_id: its id.
        samples: how many samples it has, at least one.
        created_s: when the oldest of them was enrolled, seconds since 1970 UTC.
        seen_s: when it was noted as seen for the last time, seconds since 1970 UTC, or None.
    """

    subject_id: str
    samples: int
    created_s: float
    seen_s: float | None = None


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One stored sample, without its template.

    Attributes:
        sample_id: its id.
        subject_id: whose it is.
        source_sha256: digest of the encoded picture, or empty.
        created_s: when it was enrolled, seconds since 1970 UTC.
        state: whether it is searched.
        quality: of its picture, or None.
    """

    sample_id: str
    subject_id: str
    source_sha256: str
    created_s: float
    state: SampleState = SampleState.ACTIVE
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal did.

    Attributes:
        samples: how many samples are gone; no search finds them from now on.
        purged: True when their bytes are overwritten in the file and the write-ahead log is empty. False when
            another process was still reading the old state; the next removal or the last close does it.
        receipt: signed evidence to give away; None from a store that signs none.
    """

    samples: int
    purged: bool
    receipt: RemovalReceipt | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Imported:
    """How much an import added; ``subjects`` counts those that are new in this gallery."""

    subjects: int
    samples: int


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """A gallery in numbers.

    Attributes:
        space: id of the embedding space.
        schema_version: version of the file layout.
        dimension: length of a template; None before the first enrollment.
        size: subjects and samples.
        calibration: name of the calibration record in use, or empty.
        created_s: when the gallery was made, seconds since 1970 UTC.
        bytes_on_disk: file and write-ahead log together.
        held: samples that are not searched: pending, quarantined or rejected.
        encrypted: True when templates, pictures and names are sealed with a key.
        public_key: 64 hex digits that verify its removal receipts; empty when it signs none.
        other_space: the space that an upgrade prepares or has left, or empty.
    """

    space: str
    schema_version: int
    dimension: int | None
    size: GallerySize
    calibration: str
    created_s: float
    bytes_on_disk: int
    held: int = 0
    encrypted: bool = False
    public_key: str = ""
    other_space: str = ""
