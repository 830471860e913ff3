"""A gallery of a service, with the calls and values of the embedded one."""

import json
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote

from lineament.client.connection import Connection, Failure
from lineament.client.jobs import RemoteJob
from lineament.client.results import IdentifiedFace, findings_of, identified_of, refusal_of
from lineament.core.errors import InputError
from lineament.core.types import Identification, Refusal
from lineament.gallery.receipts import RemovalReceipt
from lineament.gallery.review import PendingSample
from lineament.gallery.types import (
    Enrolled,
    EnrollmentRefusal,
    EnrollmentRefusalKind,
    GalleryInfo,
    GallerySize,
    Removal,
    SampleRecord,
    SampleState,
    SubjectSummary,
)

Conflict = Literal["refuse", "review", "ignore"]
_PAGE = 1000
_CONFLICTS = {
    "conflict": EnrollmentRefusalKind.IDENTITY_CONFLICT,
    "belongs_to_another": EnrollmentRefusalKind.DUPLICATE_SAMPLE,
    "sample_id_taken": EnrollmentRefusalKind.SAMPLE_ID_TAKEN,
    "rejected_before": EnrollmentRefusalKind.REJECTED_BEFORE,
}


class RemoteGallery:
    """A gallery; get one from :class:`~lineament.client.Client`, which says what all calls raise.

    All calls raise :class:`~lineament.core.errors.GalleryNotFound` when there is none of that name and
    :class:`~lineament.core.errors.EmbeddingSpaceMismatch` when it is of another embedding space than the service.

    Attributes:
        name: of the gallery.
        path: of its resource.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.name = name
        self.path = f"/v1/galleries/{quote(name, safe='')}"

    def info(self) -> GalleryInfo:
        """Space, counts, calibration, and the key that verifies its receipts."""
        d = self._connection.call("GET", self.path)
        size = GallerySize(d.pop("subjects"), d.pop("samples"))
        del d["name"]
        return GalleryInfo(size=size, **d)

    # Adding

    def enroll(
        self,
        subject_id: str,
        picture: bytes,
        *,
        sample_id: str | None = None,
        conflict: Conflict = "refuse",
        conflict_fmr: float | None = None,
    ) -> Enrolled | PendingSample | EnrollmentRefusal | Refusal:
        """Enroll one picture; sending the same one of the same subject again gives the same receipt.

        Args:
            subject_id: whose picture it is; made when new.
            picture: encoded.
            sample_id: unique in the gallery; None lets the gallery choose.
            conflict: when it looks like somebody else: refuse it, keep it waiting for a decision, or enroll it.
            conflict_fmr: false match rate at which it does, a fraction; None for the smallest supported one.

        Returns: a receipt; the sample that waits; what stands in the way; or why the picture gave no face.
        """
        data = {"subject": subject_id, "conflict": conflict}
        data |= {} if sample_id is None else {"sample": sample_id}
        data |= {} if conflict_fmr is None else {"conflict_fmr": repr(conflict_fmr)}
        try:
            d = self._connection.ask(
                "POST", f"{self.path}/samples", files={"picture": ("picture", picture)}, data=data
            )
        except Failure as failure:
            if failure.code not in _CONFLICTS:
                raise failure.as_error() from None
            return _in_the_way(failure.code, failure.details[0])
        if d["outcome"] == "refused":
            return refusal_of(d["refusal"])
        if d["outcome"] == "pending":
            return PendingSample(subject_id, d["sample"], findings_of(d["findings"]))
        if d["outcome"] == "quarantined":
            return EnrollmentRefusal(
                EnrollmentRefusalKind.DUPLICATE_SAMPLE, subject_id, d["sample"], similarity=1.0
            )
        return Enrolled(subject_id, d["sample"])

    def create_job(self, *, conflict: Conflict = "refuse", conflict_fmr: float | None = None) -> RemoteJob:
        """A job that enrolls many pictures.

        Args:
            conflict: as for :meth:`enroll`, and so is ``conflict_fmr``.
            conflict_fmr: a fraction, or None.
        """
        body = {"conflict": conflict, "conflict_fmr": conflict_fmr}
        made = self._connection.call("POST", f"{self.path}/jobs", json=body)
        return self.job(made["job"])

    def job(self, job_id: str) -> RemoteJob:
        """A job by its id; whether it is there shows with its first call."""
        return RemoteJob(self._connection, f"{self.path}/jobs/{quote(job_id, safe='')}", job_id)

    def jobs(self) -> Iterator[RemoteJob]:
        """All jobs, oldest first."""
        for found in self._connection.pages(f"{self.path}/jobs", "jobs"):
            yield self.job(found["job"])

    # Searching

    def identify(self, picture: bytes, fpir: float, *, max_candidates: int = 5) -> Identification | Refusal:
        """Who is this?

        Args:
            picture: of one person.
            fpir: acceptable rate of naming somebody for a person who is not enrolled, a fraction.
            max_candidates: longest candidate list.
        """
        found = self._identify(picture, fpir, max_candidates, "one")
        return found if isinstance(found, Refusal) else found[0].found

    def identify_all(self, picture: bytes, fpir: float, *, max_candidates: int = 5) -> list[IdentifiedFace]:
        """Who is in this picture? Every face that can be compared, best score first.

        Args:
            picture: of any number of people.
            fpir: as for :meth:`identify`; it holds for each face.
            max_candidates: longest candidate list.
        """
        found = self._identify(picture, fpir, max_candidates, "all")
        return [] if isinstance(found, Refusal) else found

    # Looking

    def subjects(self) -> Iterator[SubjectSummary]:
        """All subjects that a search can find, ordered by id."""
        for d in self._connection.pages(f"{self.path}/subjects", "subjects", limit=_PAGE):
            yield SubjectSummary(d["subject"], d["samples"], d["created_s"], d["seen_s"])

    def subject(self, subject_id: str) -> list[SampleRecord]:
        """The samples of one subject in any state, oldest first.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        found = self._connection.call("GET", self._subject(subject_id))
        return [_sample(d) for d in found["samples"]]

    def held(self, state: SampleState = SampleState.PENDING) -> list[SampleRecord]:
        """The samples of all subjects that are not searched, oldest first.

        Args:
            state: which of them.
        """
        found = self._connection.call("GET", f"{self.path}/held", params={"state": state.value})
        return [_sample(d) for d in found]

    # Changing

    def decide(
        self,
        sample_id: str,
        decision: Literal["approve", "reject", "quarantine", "release"],
        *,
        note: str = "",
    ) -> SampleState:
        """Decide about a sample; durable, kept with who decided.

        Args:
            sample_id: the sample.
            decision: approve or reject one that waits, quarantine one that is searched, release or reject one that is
                in quarantine.
            note: why.

        Raises:
            SubjectNotFound: there is no such sample.
            GalleryError: it is not in the state for that.
        """
        body = {"sample": sample_id, "decision": decision, "note": note}
        return SampleState(self._connection.call("POST", f"{self.path}/decisions", json=body)["state"])

    def merge(self, into: str, source: str) -> int:
        """Give all samples of ``source`` to ``into``; returns how many.

        Raises:
            SubjectNotFound: there is no such subject.
            GalleryError: both are the same.
        """
        body = {"into": into, "source": source}
        return int(self._connection.call("POST", f"{self.path}/merges", json=body)["samples_moved"])

    def rename(self, old: str, new: str) -> None:
        """Give a subject another id.

        Raises:
            SubjectNotFound: there is no subject ``old``.
            GalleryError: there is a subject ``new``.
        """
        self._connection.call("POST", f"{self.path}/renames", json={"subject": old, "new": new})

    def remove_subject(self, subject_id: str) -> Removal:
        """Remove a subject with all its samples.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        return _removal(self._connection.call("DELETE", self._subject(subject_id)))

    def remove_sample(self, sample_id: str) -> Removal:
        """Remove one sample; a subject goes with its last sample.

        Raises:
            SubjectNotFound: there is no such sample.
        """
        return _removal(self._connection.call("DELETE", f"{self.path}/samples/{_part(sample_id)}"))

    def _subject(self, subject_id: str) -> str:
        return f"{self.path}/subjects/{_part(subject_id)}"

    def _identify(
        self, picture: bytes, fpir: float, max_candidates: int, faces: str
    ) -> list[IdentifiedFace] | Refusal:
        d = self._connection.call(
            "POST",
            f"{self.path}/identify",
            files={"picture": ("picture", picture)},
            data={"fpir": repr(fpir), "max_candidates": str(max_candidates), "faces": faces},
        )
        return identified_of(d) if d["refusal"] is None else refusal_of(d["refusal"])


def _part(text: str) -> str:
    """An id as the last part of an address.

    Raises:
        InputError: "." and "..", which would be sent as steps to another address.
    """
    if text in {".", ".."}:
        raise InputError('expected an id with an address, got "." or ".."; use the command line for it')
    return quote(text, safe="")


def _in_the_way(code: str, d: dict[str, Any]) -> EnrollmentRefusal:
    return EnrollmentRefusal(_CONFLICTS[code], d["subject"], d["sample"], d["similarity"])


def _sample(d: dict[str, Any]) -> SampleRecord:
    return SampleRecord(
        sample_id=d["sample"],
        subject_id=d["subject"],
        source_sha256=d["source_sha256"],
        created_s=d["created_s"],
        state=SampleState(d["state"]),
        quality=d["quality"],
    )


def _removal(d: dict[str, Any]) -> Removal:
    receipt = None if d["receipt"] is None else RemovalReceipt.from_json(json.dumps(d["receipt"]))
    return Removal(d["samples"], d["purged"], receipt)
