"""Enrollment review: samples that wait for a decision, samples out of the search, and every decision as data."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from lineament.core.errors import GalleryError, SubjectNotFound
from lineament.gallery.corrections import DETAILS_LABEL
from lineament.gallery.rows import Refused, Row, cosine, new_row, require_space
from lineament.gallery.search import Searcher
from lineament.gallery.session import Session
from lineament.gallery.store import Store
from lineament.gallery.subject import searched_samples
from lineament.gallery.types import Enrolled, EnrollmentRefusal, NewSample, SampleRecord, SampleState


class FindingKind(StrEnum):
    """Why a sample waits for a decision."""

    NEAR_DUPLICATE = "near_duplicate"
    """A sample of the same subject is almost the same picture."""
    IDENTITY_CONFLICT = "identity_conflict"
    """A sample of another subject resembles it."""
    UNLIKE_SUBJECT = "unlike_subject"
    """It does not resemble the subject's own template."""
    LOW_QUALITY = "low_quality"
    """Its quality is below the asked one, or was not measured."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason to wait.

    Attributes:
        kind: the rule.
        value: what was found: a cosine in [-1, 1], or a quality (None when it was not measured).
        limit: what the rule asks for.
        subject_id: of the sample or template that it was compared with, or empty.
        sample_id: of that sample, or empty.
    """

    kind: FindingKind
    value: float | None
    limit: float
    subject_id: str = ""
    sample_id: str = ""


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """When a sample waits; None leaves a rule out. Thresholds are those of a calibration record.

    Attributes:
        near_duplicate: a sample of the same subject is at least as similar, a cosine.
        conflict: a sample of another subject is at least as similar, a cosine.
        own: the robust template of the subject, when it has one, is less similar, a cosine.
        min_quality: the quality is lower or not known.
    """

    near_duplicate: float | None = None
    conflict: float | None = None
    own: float | None = None
    min_quality: float | None = None


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """What was decided about a sample.

    Attributes:
        sample_id: the sample.
        state: what it became.
        at_s: when, seconds since 1970 UTC.
        by: who decided; empty for the rules.
        note: why.
        findings: what the rules found, when it became pending.
    """

    sample_id: str
    state: SampleState
    at_s: float
    by: str
    note: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class PendingSample:
    """A sample that waits: durable, not searched.

    Attributes:
        subject_id: whose it is said to be.
        sample_id: its id.
        findings: why it waits, at least one.
    """

    subject_id: str
    sample_id: str
    findings: tuple[Finding, ...]


class Review:
    """The review of an open gallery; a decision is durable when its call returns."""

    def __init__(self, session: Session, searcher: Searcher) -> None:
        self._session = session
        self._searcher = searcher

    def offer(self, sample: NewSample, rules: ReviewRules) -> Enrolled | PendingSample | EnrollmentRefusal:
        """Enroll a sample when no rule objects; keep it waiting when one does.

        Returns:
            A receipt, the sample with what was found, or a refusal: an exact duplicate cannot be stored twice, and
            what was rejected before is not asked again.

        Raises:
            EmbeddingSpaceMismatch: the embedding is of another space or length.
        """
        require_space(self._session.space, sample.embedding)
        row, store = new_row(sample), self._session.store
        if rules.conflict is not None:
            with self._session.transaction(write=False):
                self._searcher.prepare()
        try:
            with self._session.transaction(write=True):
                store.require_dimension(row.vector.size)
                store.require_new(row, 0)
                findings = tuple(self._findings(row, rules))
                if not findings:
                    return store.insert(row, 0)
                store.insert(row, 0, SampleState.PENDING)
                number = store.sample(row.sample_id)
                self._note(number, SampleState.PENDING, "", "", findings)
        except Refused as refused:
            return refused.refusal
        return PendingSample(row.subject_id, row.sample_id, findings)

    def waiting(self) -> list[PendingSample]:
        """The samples that wait, oldest first."""
        with self._session.transaction(write=False):
            return [
                PendingSample(
                    record.subject_id, record.sample_id, self._decisions(record.sample_id)[-1].findings
                )
                for record in self._session.store.samples_in(SampleState.PENDING)
            ]

    def held(self, state: SampleState) -> list[SampleRecord]:
        """The samples of all subjects that are in ``state``, oldest first."""
        with self._session.transaction(write=False):
            return self._session.store.samples_in(state)

    def approve(self, sample_id: str, *, by: str = "", note: str = "") -> None:
        """Let searches find a waiting sample.

        Raises:
            SubjectNotFound: there is no such sample.
            GalleryError: it does not wait.
        """
        self._activate(sample_id, SampleState.PENDING, by, note)

    def reject(self, sample_id: str, *, by: str = "", note: str = "") -> None:
        """Refuse a waiting or quarantined sample: its template and crop go for good, the decision stays.

        Raises:
            SubjectNotFound: there is no such sample.
            GalleryError: it is searched, or was rejected before.
        """
        store = self._session.store
        with self._session.transaction(write=True):
            number = self._require(sample_id, (SampleState.PENDING, SampleState.QUARANTINED))
            for table in ("templates", "other_templates", "crops"):
                store.connection.execute(f"DELETE FROM {table} WHERE sample = ?", (number,))  # noqa: S608
            self._set(number, SampleState.REJECTED, by, note)
        self._session.purge()

    def quarantine(self, sample_id: str, *, by: str = "", note: str = "") -> None:
        """Take a sample out of the search; nothing of it is lost.

        Raises:
            SubjectNotFound: there is no such sample.
            GalleryError: it is not searched.
        """
        with self._session.transaction(write=True):
            number = self._require(sample_id, (SampleState.ACTIVE,))
            self._session.store.note_change(number)
            self._set(number, SampleState.QUARANTINED, by, note)

    def release(self, sample_id: str, *, by: str = "", note: str = "") -> None:
        """Let searches find a quarantined sample again.

        Raises:
            SubjectNotFound: there is no such sample.
            GalleryError: it is not in quarantine.
        """
        self._activate(sample_id, SampleState.QUARANTINED, by, note)

    def decisions(self, sample_id: str) -> list[DecisionRecord]:
        """What was decided about a sample, oldest first.

        Raises:
            SubjectNotFound: there is no such sample.
        """
        with self._session.transaction(write=False):
            return self._decisions(sample_id)

    def unlike(self, subject_id: str, own: float) -> list[Finding]:
        """Samples of a subject that do not resemble the template of its other samples, the worst first.

        Args:
            subject_id: the subject.
            own: cosine from which on a sample resembles it.

        Raises:
            SubjectNotFound: there is no such subject, or no sample of it is searched.
        """
        with self._session.transaction(write=False):
            template = searched_samples(self._session.store, subject_id).template()
        worst = np.argsort(template.agreement, kind="stable")
        return [
            Finding(
                FindingKind.UNLIKE_SUBJECT,
                float(template.agreement[i]),
                own,
                subject_id,
                template.sample_ids[i],
            )
            for i in worst
            if template.agreement[i] < own
        ]

    def _findings(self, row: Row, rules: ReviewRules) -> Iterator[Finding]:
        if rules.min_quality is not None and (row.quality is None or row.quality < rules.min_quality):
            yield Finding(FindingKind.LOW_QUALITY, row.quality, rules.min_quality)
        if rules.conflict is not None:
            (found,) = self._searcher.search(row.vector[None], 2, exact=False)
            for other in found:
                if other.subject_id != row.subject_id and other.similarity >= rules.conflict:
                    yield Finding(
                        FindingKind.IDENTITY_CONFLICT,
                        other.similarity,
                        rules.conflict,
                        other.subject_id,
                        other.sample_id,
                    )
                    break
        yield from _own_findings(self._session.store, row, rules)

    def _activate(self, sample_id: str, expected: SampleState, by: str, note: str) -> None:
        # Caches read the samples above the highest number that they know, so an activated one gets a new number.
        store = self._session.store
        with self._session.transaction(write=True):
            old = self._require(sample_id, (expected,))
            store.connection.execute("PRAGMA defer_foreign_keys=ON")
            (last,) = store.connection.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = 'samples'"
            ).fetchone()
            new = last + 1
            store.connection.execute("UPDATE samples SET id = ? WHERE id = ?", (new, old))
            # The children that an older layout made do not follow by themselves; after an upgrade, either may.
            for table in ("templates", "other_templates"):
                store.connection.execute(f"UPDATE {table} SET sample = ? WHERE sample = ?", (new, old))  # noqa: S608
            store.connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'samples'", (new,))
            self._set(new, SampleState.ACTIVE, by, note)

    def _require(self, sample_id: str, states: Sequence[SampleState]) -> int:
        connection = self._session.store.connection
        number = self._session.store.sample(sample_id)
        (state,) = connection.execute("SELECT state FROM samples WHERE id = ?", (number,)).fetchone()
        if state not in states:
            raise GalleryError(
                f"sample {sample_id!r} is {state}, expected {' or '.join(states)}; nothing was changed"
            )
        return number

    def _set(self, number: int, state: SampleState, by: str, note: str) -> None:
        self._session.store.connection.execute("UPDATE samples SET state = ? WHERE id = ?", (state, number))
        self._note(number, state, by, note, ())

    def _note(self, number: int, state: SampleState, by: str, note: str, findings: Sequence[Finding]) -> None:
        details = {"by": by, "note": note, "findings": [asdict(finding) for finding in findings]}
        store = self._session.store
        store.connection.execute(
            "INSERT INTO decisions (sample, state, at_s, details) VALUES (?, ?, ?, ?)",
            (number, state, time.time(), store.codec.seal(json.dumps(details).encode(), DETAILS_LABEL)),
        )

    def _decisions(self, sample_id: str) -> list[DecisionRecord]:
        store = self._session.store
        found = store.connection.execute(
            "SELECT state, at_s, details FROM decisions WHERE sample = ? ORDER BY id",
            (store.sample(sample_id),),
        )
        return [
            _record(sample_id, state, at_s, json.loads(store.codec.open(details, DETAILS_LABEL)))
            for state, at_s, details in found
        ]


def _record(sample_id: str, state: str, at_s: float, details: dict[str, Any]) -> DecisionRecord:
    findings = tuple(Finding(**(f | {"kind": FindingKind(f["kind"])})) for f in details["findings"])
    return DecisionRecord(sample_id, SampleState(state), at_s, details["by"], details["note"], findings)


def _own_findings(store: Store, row: Row, rules: ReviewRules) -> Iterator[Finding]:
    """Findings against the subject's own samples; none for a new subject."""
    if rules.near_duplicate is None and rules.own is None:
        return
    try:
        own = searched_samples(store, row.subject_id)
    except SubjectNotFound:
        return
    if rules.near_duplicate is not None:
        for sample_id, vector in zip(own.sample_ids, own.vectors, strict=True):
            similarity = cosine(vector, row.vector)
            if similarity >= rules.near_duplicate:
                yield Finding(
                    FindingKind.NEAR_DUPLICATE, similarity, rules.near_duplicate, row.subject_id, sample_id
                )
                break
    similarity = cosine(own.template().vector, row.vector)
    if rules.own is not None and similarity < rules.own:
        yield Finding(FindingKind.UNLIKE_SUBJECT, similarity, rules.own, row.subject_id)
