"""What every gallery can do, wherever its templates lie; the service and the pipeline rely on this alone."""

from collections.abc import Sequence
from typing import Protocol

from lineament.core.arrays import FloatArray
from lineament.core.types import Candidate, Embedding, Identification, OperatingPoint
from lineament.gallery.types import (
    Enrolled,
    EnrollmentRefusal,
    GalleryInfo,
    GallerySize,
    NewSample,
    Removal,
    SampleRecord,
    SubjectSummary,
)


class GalleryStore(Protocol):
    """A durable store of templates with exact search; its methods are those of the embedded ``Gallery``.

    Every call is one transaction, sees what was acknowledged before it, and may be made from any thread. What an
    enrolling or removing call has returned survives a crash. All calls raise
    :class:`~lineament.core.errors.GalleryError` when the store cannot be reached, read or written.
    """

    @property
    def space(self) -> str:
        """Id of the embedding space of all templates."""

    @property
    def size(self) -> GallerySize:
        """How many subjects and samples a search can find."""

    @property
    def calibration(self) -> str:
        """Name of the calibration record in use; empty when none was set."""

    def set_calibration(self, name: str) -> None:
        """Note which calibration record is in use; an empty name forgets it."""

    def enroll(
        self,
        subject_id: str,
        embedding: Embedding,
        *,
        sample_id: str | None = None,
        source_sha256: str = "",
        conflict_threshold: float | None = None,
    ) -> Enrolled | EnrollmentRefusal:
        """Add one sample, or say why not.

        Raises:
            EmbeddingSpaceMismatch: the embedding is of another space or length.
            InputError: an id or digest that cannot be stored.
        """

    def enroll_many(
        self, samples: Sequence[NewSample], *, conflict_threshold: float | None = None
    ) -> tuple[Enrolled, ...] | EnrollmentRefusal:
        """Add all samples in one transaction, or none: the first refusal stops it and leaves nothing.

        Raises:
            EmbeddingSpaceMismatch: an embedding is of another space or length.
        """

    def search(
        self, vectors: FloatArray, *, max_candidates: int = 5, exact: bool = False
    ) -> list[tuple[Candidate, ...]]:
        """The most similar subjects of each of (Q, D) float32 vectors, each by its best sample, best first.

        Raises:
            BadArray: not (Q, D) float32, or a vector that has no direction.
            EmbeddingSpaceMismatch: the templates have another length.
        """

    def identify(
        self,
        embedding: Embedding,
        *,
        point: OperatingPoint,
        fpir: float,
        max_candidates: int = 5,
        exact: bool = False,
    ) -> Identification:
        """Search one probe and keep the subjects that match at ``point`` or might.

        Raises:
            EmbeddingSpaceMismatch: the embedding or the point is of another space.
        """

    def subjects(self) -> list[SubjectSummary]:
        """All subjects that a search can find, ordered by id."""

    def subject(self, subject_id: str) -> list[SampleRecord]:
        """The samples of one subject, oldest first.

        Raises:
            SubjectNotFound: there is no such subject.
        """

    def info(self) -> GalleryInfo:
        """Space, layout, counts, calibration and bytes on the disk."""

    def check(self) -> list[str]:
        """Every fault of the store in words; empty for a sound one. Reads everything."""

    def remove_subject(self, subject_id: str) -> Removal:
        """Remove a subject with all its samples.

        Raises:
            SubjectNotFound: there is no such subject.
        """

    def remove_sample(self, sample_id: str) -> Removal:
        """Remove one sample; a subject goes with its last sample.

        Raises:
            SubjectNotFound: there is no such sample.
        """

    def merge(self, into: str, source: str) -> int:
        """Give all samples of ``source`` to ``into``; returns how many.

        Raises:
            SubjectNotFound: there is no such subject.
            GalleryError: both are the same.
        """

    def rename(self, old: str, new: str) -> None:
        """Give a subject another id.

        Raises:
            SubjectNotFound: there is no subject ``old``.
            GalleryError: there is a subject ``new``.
            InputError: ``new`` cannot be an id.
        """

    def close(self) -> None:
        """Free what the gallery holds; closing twice does nothing."""
