"""Putting one sample into a gallery, for single requests and for jobs alike."""

from dataclasses import dataclass
from typing import Literal

from lineament.core.errors import GalleryError
from lineament.core.types import OperatingPoint
from lineament.gallery import (
    Enrolled,
    EnrollmentRefusal,
    EnrollmentRefusalKind,
    Gallery,
    GalleryStore,
    NewSample,
    PendingSample,
    ReviewRules,
    SampleState,
)
from lineament.pipeline import FacePipeline

Conflict = Literal["refuse", "review", "ignore"]
"""What happens to a sample that looks like somebody else: refused, kept waiting for a decision, or enrolled."""


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """The same picture of the same subject was enrolled before: nothing changed, nothing to do.

    Attributes:
        subject_id: whose it is.
        sample_id: under which it was enrolled.
        state: whether it is searched.
    """

    subject_id: str
    sample_id: str
    state: SampleState


Outcome = Enrolled | AlreadyThere | PendingSample | EnrollmentRefusal


def conflict_point(pipeline: FacePipeline, conflict: Conflict, fmr: float | None) -> OperatingPoint | None:
    """At which similarity a sample looks like somebody else.

    Args:
        pipeline: has the calibration.
        conflict: what to do about it.
        fmr: the false match rate of such a comparison, a fraction; None for the smallest supported one.

    Returns: None when nobody looks.

    Raises:
        NotCalibrated: the rate cannot be supported.
    """
    if conflict == "ignore":
        return None
    return pipeline.operating_point(pipeline.calibration.smallest_fmr if fmr is None else fmr)


def enroll(
    store: GalleryStore, sample: NewSample, conflict: Conflict, point: OperatingPoint | None
) -> Outcome:
    """Enroll one sample; offering it again says that it is there.

    Args:
        store: gets it.
        sample: with the digest of its picture.
        conflict: what to do when it looks like somebody else.
        point: at which similarity it does; its record becomes the gallery's when that has none.

    Raises:
        EmbeddingSpaceMismatch: it is of another space.
        GalleryError: the store cannot be written, or does not review.
    """
    if point is not None and not store.calibration:
        store.set_calibration(point.record)
    threshold = None if point is None else point.threshold
    if conflict == "review":
        outcome: Outcome = reviewing(store).review.offer(sample, ReviewRules(conflict=threshold))
    else:
        found = store.enroll_many([sample], conflict_threshold=threshold)
        outcome = found if isinstance(found, EnrollmentRefusal) else found[0]
    return _same(store, sample, outcome) or outcome if isinstance(outcome, EnrollmentRefusal) else outcome


def reviewing(store: GalleryStore) -> Gallery:
    """The gallery that can keep samples waiting.

    Raises:
        GalleryError: a gallery on a shared server cannot.
    """
    if not isinstance(store, Gallery):
        raise GalleryError(
            "only embedded galleries keep samples waiting for a decision; refuse conflicts here"
        )
    return store


def status_of(outcome: Outcome, subject_id: str) -> str:
    """One word for an outcome: enrolled, already_there, pending, quarantined, conflict, belongs_to_another,
    sample_id_taken, rejected_before.

    Args:
        outcome: of an enrollment.
        subject_id: who was to be enrolled.
    """
    if isinstance(outcome, Enrolled):
        return "enrolled"
    if isinstance(outcome, AlreadyThere):
        return "already_there" if outcome.state is SampleState.ACTIVE else outcome.state.value
    if isinstance(outcome, PendingSample):
        return "pending"
    if outcome.kind is EnrollmentRefusalKind.IDENTITY_CONFLICT:
        return "conflict"
    if outcome.kind is EnrollmentRefusalKind.DUPLICATE_SAMPLE and outcome.subject_id != subject_id:
        return "belongs_to_another"
    return outcome.kind.value


def _same(store: GalleryStore, sample: NewSample, refusal: EnrollmentRefusal) -> AlreadyThere | None:
    """What stands in the way, when it is this picture of this subject."""
    kinds = (EnrollmentRefusalKind.DUPLICATE_SAMPLE, EnrollmentRefusalKind.SAMPLE_ID_TAKEN)
    if refusal.subject_id != sample.subject_id or refusal.kind not in kinds:
        return None
    held = next(s for s in store.subject(refusal.subject_id) if s.sample_id == refusal.sample_id)
    if refusal.kind is kinds[1] and held.source_sha256 != sample.source_sha256:
        return None
    return AlreadyThere(held.subject_id, held.sample_id, held.state)
