"""The values that a gallery takes and returns, and the check of its free-text ids."""

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from lineament.core.errors import InputError
from lineament.core.types import Embedding

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
    """

    subject_id: str
    embedding: Embedding
    sample_id: str | None = None
    source_sha256: str = ""

    def __post_init__(self) -> None:
        check_id(self.subject_id, "subject id")
        if self.sample_id is not None:
            check_id(self.sample_id, "sample id")
        check_sha256(self.source_sha256)


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
    IDENTITY_CONFLICT = "identity_conflict"
    """A sample of another subject is at least as similar as the caller's conflict threshold."""


@dataclass(frozen=True, slots=True)
class EnrollmentRefusal:
    """An expected outcome: nothing was enrolled, and what stands in the way.

    Attributes:
        kind: the rule that refused.
        subject_id: subject of the sample that stands in the way.
        sample_id: the sample that stands in the way.
        similarity: its cosine to the refused sample, in [-1, 1].
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
    """

    subject_id: str
    samples: int
    created_s: float


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One stored sample, without its template.

    Attributes:
        sample_id: its id.
        subject_id: whose it is.
        source_sha256: digest of the encoded picture, or empty.
        created_s: when it was enrolled, seconds since 1970 UTC.
    """

    sample_id: str
    subject_id: str
    source_sha256: str
    created_s: float


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal did.

    Attributes:
        samples: how many samples are gone; no search finds them from now on.
        purged: True when their bytes are overwritten in the file and the write-ahead log is empty. False when
            another process was still reading the old state; the next removal or the last close does it.
    """

    samples: int
    purged: bool


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
    """

    space: str
    schema_version: int
    dimension: int | None
    size: GallerySize
    calibration: str
    created_s: float
    bytes_on_disk: int
