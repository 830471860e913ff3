"""Bodies about galleries, subjects and samples, and the cursors of their pages."""

import base64
import binascii
import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Self, TypeVar

from fastapi import Query
from pydantic import AfterValidator, Field

from lineament.core.errors import InputError
from lineament.core.types import Candidate
from lineament.gallery import EnrollmentRefusal, Finding, Removal, SampleRecord, SubjectSummary
from lineament.gallery.types import MAX_ID_LENGTH
from lineament.service.ids import check_address
from lineament.service.schemas import (
    FaceBody,
    MadeWith,
    Picture,
    PointBody,
    Rate,
    RefusalBody,
    ReplyBody,
    RequestBody,
    RequestQuery,
)

T = TypeVar("T")


def _id(text: str) -> str:
    return check_address(text, "id")


Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH), AfterValidator(_id)]
"""Id of a subject or sample; kept verbatim."""
Limit = Annotated[int, Field(ge=1, le=1000, description="Entries of a page at most.")]
CONFLICT = "refuse: not enrolled when it looks like somebody else; review: it waits for a decision; ignore: enrolled."
CONFLICT_FMR = "False match rate at which it looks like somebody else; by default the smallest supported one."


class PageQuery(RequestQuery):
    """Which page of a list."""

    after: str | None = Field(
        default=None, max_length=2000, description="``next`` of the page before; leave it out for the first."
    )
    limit: Limit = 100


Page = Annotated[PageQuery, Query()]


class CandidateBody(ReplyBody):
    """A subject that was found, by its best sample."""

    rank: int
    subject: str
    sample: str
    similarity: float

    @classmethod
    def of(cls, candidate: Candidate) -> Self:
        """The body of a value."""
        c = candidate
        return cls(rank=c.rank, subject=c.subject_id, sample=c.sample_id, similarity=c.similarity)


class SampleBody(ReplyBody):
    """A stored sample, without its template."""

    sample: str
    subject: str
    source_sha256: str = Field(description="Digest of the encoded picture, or empty.")
    created_s: float = Field(description="When it was enrolled, s since 1970 UTC.")
    state: Literal["active", "pending", "quarantined", "rejected"] = Field(
        description="Only active samples are searched."
    )
    quality: float | None

    @classmethod
    def of(cls, record: SampleRecord) -> Self:
        """The body of a value."""
        return cls(
            sample=record.sample_id,
            subject=record.subject_id,
            source_sha256=record.source_sha256,
            created_s=record.created_s,
            state=record.state.value,
            quality=record.quality,
        )


class SubjectBody(ReplyBody):
    """A subject that searches can find."""

    subject: str
    samples: int
    created_s: float = Field(description="When the oldest sample was enrolled, s since 1970 UTC.")
    seen_s: float | None = Field(description="When it was noted as seen for the last time, s since 1970 UTC.")

    @classmethod
    def of(cls, s: SubjectSummary) -> Self:
        """The body of a value."""
        return cls(subject=s.subject_id, samples=s.samples, created_s=s.created_s, seen_s=s.seen_s)


class SubjectPage(ReplyBody):
    """Some subjects, ordered by id."""

    subjects: list[SubjectBody]
    next: str | None = Field(description="Pass this as ``after`` to go on; null at the end.")


class RemovalReply(ReplyBody):
    """What a removal did."""

    samples: int = Field(description="Samples that are gone; no search finds them.")
    purged: bool = Field(description="Their bytes are overwritten; false while another process still reads.")
    receipt: dict[str, Any] | None = Field(
        description="Signed evidence; keep it as it is, and check it with the public key of the gallery."
    )

    @classmethod
    def of(cls, removal: Removal) -> Self:
        """The body of a value."""
        receipt = None if removal.receipt is None else json.loads(removal.receipt.to_json())
        return cls(samples=removal.samples, purged=removal.purged, receipt=receipt)


class ConflictBody(ReplyBody):
    """The sample that stands in the way of an enrollment."""

    subject: str
    sample: str
    similarity: float

    @classmethod
    def of(cls, refusal: EnrollmentRefusal) -> Self:
        """The body of a value."""
        return cls(subject=refusal.subject_id, sample=refusal.sample_id, similarity=refusal.similarity)


class FindingBody(ReplyBody):
    """Why a sample waits."""

    kind: Literal["near_duplicate", "identity_conflict", "unlike_subject", "low_quality"]
    value: float | None = Field(description="What was found, a cosine or a quality.")
    limit: float = Field(description="What the rule asks for.")
    subject: str = Field(description="Of the sample that it was compared with, or empty.")
    sample: str = Field(description="That sample, or empty.")

    @classmethod
    def of(cls, finding: Finding) -> Self:
        """The body of a value."""
        f = finding
        return cls(kind=f.kind.value, value=f.value, limit=f.limit, subject=f.subject_id, sample=f.sample_id)


class EnrollRequest(RequestBody):
    """One picture of one subject."""

    picture: Picture
    subject: Id = Field(description="Whose picture it is; made when new.")
    sample: Id | None = Field(None, description="Id of the sample; by default the gallery chooses one.")
    conflict: Literal["refuse", "review", "ignore"] = Field("refuse", description=CONFLICT)
    conflict_fmr: Rate | None = Field(None, description=CONFLICT_FMR)


class EnrollReply(MadeWith):
    """What became of a picture."""

    outcome: Literal["enrolled", "already_there", "pending", "quarantined", "refused"]
    subject: str
    sample: str | None = Field(description="Id of the sample; null when the picture was refused.")
    face: FaceBody | None
    refusal: RefusalBody | None = Field(description="Why the picture gave no face.")
    findings: list[FindingBody] = Field(description="Why the sample waits for a decision.")
    conflict_point: PointBody | None = Field(description="What other subjects were compared at.")


class IdentifyRequest(RequestBody):
    """One picture and a rate."""

    picture: Picture
    fpir: Rate = Field(
        description="Rate at which somebody who is not enrolled may be named, a fraction.", examples=[0.01]
    )
    max_candidates: int = Field(5, ge=1, le=100, description="Longest list of candidates.")
    faces: Literal["one", "all"] = Field(
        "one",
        description="one: the face that the picture is about, or a refusal; all: every face that can be compared.",
    )


class IdentifiedFace(FaceBody):
    """A face and who it may be."""

    decision: Literal["match", "no_match", "undecided"]
    candidates: list[CandidateBody] = Field(description="Subjects that match, best first.")
    undecided: list[CandidateBody] = Field(description="Subjects within the interval of the threshold.")
    nearest: CandidateBody | None = Field(
        description="Best subject whatever the threshold; null in an empty gallery."
    )


class IdentifyReply(MadeWith):
    """Who is in a picture."""

    fpir: float
    gallery_size: int = Field(description="Templates that were searched.")
    point: PointBody = Field(description="Its fmr is the rate for each comparison that the fpir needs.")
    faces: list[IdentifiedFace]
    detected: int = Field(description="All faces that were found, those too that cannot be compared.")
    refusal: RefusalBody | None = Field(description='Why there is no face; only when "one" was asked for.')


def page(
    entries: Sequence[T], key: Callable[[T], str], after: str | None, limit: int
) -> tuple[Sequence[T], str | None]:
    """A stretch of entries that are sorted by a text, and the cursor of the next one.

    Args:
        entries: all of them.
        key: the text that they are sorted by.
        after: cursor of the page before.
        limit: entries at most.

    Raises:
        InputError: not a cursor.
    """
    start = 0 if after is None else bisect_right(entries, _text_of(after), key=key)
    stretch = entries[start : start + limit]
    is_last = start + limit >= len(entries)
    return stretch, None if is_last or not stretch else cursor_of(key(stretch[-1]))


def cursor_of(text: str) -> str:
    """A cursor that stands behind ``text``."""
    return base64.urlsafe_b64encode(text.encode()).decode()


def _text_of(cursor: str) -> str:
    try:
        return base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InputError("after must be the next of another page") from error
