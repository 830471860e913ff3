"""The values of a job."""

import time
from dataclasses import dataclass, field
from typing import Any

from lineament.service.enrolling import Conflict


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """What a job is to do, and who asked.

    Attributes:
        gallery: name of the gallery.
        conflict: what happens to a picture that looks like somebody else.
        conflict_fmr: false match rate at which it does, a fraction; None for the smallest supported one.
        created_s: when it was made, s since 1970 UTC.
        request_id: of the request that made it.
        key_id: of the key that made it.
        route: of that request.
    """

    gallery: str
    conflict: Conflict
    conflict_fmr: float | None
    created_s: float = field(default_factory=time.time)
    request_id: str = ""
    key_id: str = ""
    route: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A picture that waits.

    Attributes:
        position: counts from 1 in the order of the uploads.
        subject_id: whose it is.
        sample_id: under which it is enrolled.
        picture: encoded.
    """

    position: int
    subject_id: str
    sample_id: str
    picture: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ItemState:
    """What became of a picture.

    Attributes:
        position: counts from 1.
        name: its path in the upload; empty when its subject was removed.
        subject_id: whose it is; empty when its subject was removed.
        sample_id: under which it was to be enrolled; empty when its subject was removed.
        status: "waiting", "cancelled", "forgotten" (its subject was removed), or what became of it.
        found: what was found, as it goes out.
    """

    position: int
    name: str
    subject_id: str
    sample_id: str
    status: str
    found: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Attributes:
        total: pictures that it has taken.
        waiting: pictures that are still to be enrolled.
        statuses: how many ended how.
        is_cancelled: nothing more is enrolled.
        is_stuck: it could not go on when it was last tried.
    """

    total: int
    waiting: int
    statuses: dict[str, int]
    is_cancelled: bool
    is_stuck: bool
