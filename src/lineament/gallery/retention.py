"""Retention: find and remove what is old, or whose subject was not seen for long."""

import math
import time
from collections.abc import Collection
from dataclasses import dataclass

from lineament.gallery import ledger
from lineament.gallery.receipts import RemovalReceipt
from lineament.gallery.session import Session
from lineament.gallery.store import Store


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """When a sample is to go; at least one limit.

    Attributes:
        max_age_s: it was enrolled longer ago, s.
        unseen_s: its subject was neither noted as seen nor given a new sample for longer, s.
    """

    max_age_s: float | None = None
    unseen_s: float | None = None

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.max_age_s, self.unseen_s) if limit is not None]
        if not limits or not all(math.isfinite(limit) and limit > 0 for limit in limits):
            raise ValueError(f"a retention rule needs a limit above 0 s, got {self}")


@dataclass(frozen=True, slots=True)
class DueSample:
    """A sample that a rule wants to go.

    Attributes:
        subject_id: whose it is.
        sample_id: its id.
        created_s: when it was enrolled, seconds since 1970 UTC.
        seen_s: when its subject was noted as seen for the last time, or None.
    """

    subject_id: str
    sample_id: str
    created_s: float
    seen_s: float | None


@dataclass(frozen=True, slots=True)
class Expired:
    """What a rule removed.

    Attributes:
        samples: how many samples are gone.
        purged: as in ``Removal``.
        receipts: one for each subject that lost samples.
    """

    samples: int
    purged: bool
    receipts: tuple[RemovalReceipt, ...]


class Retention:
    """The retention of an open gallery."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def mark_seen(self, subject_ids: Collection[str], at_s: float | None = None) -> int:
        """Note that subjects were seen; unknown ones are passed over. A time never goes back.

        Searching notes nothing by itself: it would write to the disk for every probe. Callers collect whom they
        have identified and call this now and then.

        Args:
            subject_ids: who was seen.
            at_s: when, seconds since 1970 UTC; None for now.

        Returns: how many of them the gallery holds.
        """
        at_s = time.time() if at_s is None else at_s
        store = self._session.store
        with self._session.transaction(write=True):
            return sum(
                store.connection.execute(
                    "UPDATE subjects SET seen_s = max(coalesce(seen_s, ?), ?) WHERE name = ?",
                    (at_s, at_s, store.codec.seal_name(subject_id, "subject")),
                ).rowcount
                for subject_id in set(subject_ids)
            )

    def due(self, rule: RetentionRule, now_s: float | None = None) -> list[DueSample]:
        """What :meth:`apply` would remove now, in any state, oldest first; changes nothing."""
        with self._session.transaction(write=False):
            return [sample for _, sample in _due(self._session.store, rule, now_s)]

    def apply(self, rule: RetentionRule, now_s: float | None = None) -> Expired:
        """Remove what is due, in one transaction.

        Args:
            rule: what is to go.
            now_s: the time to judge by, seconds since 1970 UTC; None for now.
        """
        store, receipts = self._session.store, []
        with self._session.transaction(write=True):
            due: dict[str, list[int]] = {}
            for number, sample in _due(store, rule, now_s):
                due.setdefault(sample.subject_id, []).append(number)
            for subject_id, numbers in due.items():
                receipts.append(ledger.unsigned_receipt(store, subject_id, store.remove_samples(numbers)))
        signed = self._session.signed(receipts) if receipts else []
        return Expired(
            samples=sum(len(receipt.sample_ids) for receipt in signed),
            purged=all(receipt.purged for receipt in signed),
            receipts=tuple(signed),
        )


def _due(store: Store, rule: RetentionRule, now_s: float | None) -> list[tuple[int, DueSample]]:
    now_s = time.time() if now_s is None else now_s
    # A limit that is not asked for lies before every time.
    oldest = -math.inf if rule.max_age_s is None else now_s - rule.max_age_s
    unseen = -math.inf if rule.unseen_s is None else now_s - rule.unseen_s
    found = store.connection.execute(
        "SELECT s.id, u.name, s.name, s.created_s, u.seen_s FROM samples s JOIN subjects u ON u.id = s.subject "
        "WHERE s.created_s < ? OR max(coalesce(u.seen_s, 0), "
        "(SELECT max(o.created_s) FROM samples o WHERE o.subject = s.subject)) < ? ORDER BY s.created_s, s.id",
        (oldest, unseen),
    )
    name = store.codec.open_name
    return [
        (number, DueSample(name(subject, "subject"), name(sample, "sample"), created_s, seen_s))
        for number, subject, sample, created_s, seen_s in found
    ]
