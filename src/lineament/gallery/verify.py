"""Whether what a receipt says is gone is gone: from the gallery and from the copies that it knows."""

import sqlite3
import zipfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lineament.core.errors import GalleryError
from lineament.gallery import ledger
from lineament.gallery.receipts import Copy, RemovalReceipt, public_key
from lineament.gallery.session import Session
from lineament.gallery.transfer import exported_sample_ids


@dataclass(frozen=True, slots=True)
class ReceiptVerdict:
    """What became of a receipt's samples.

    Attributes:
        signed: True when this gallery signed the receipt as it is.
        in_gallery: removed samples that the gallery holds: those of a restored backup. Samples that were enrolled
            after the removal are others, whatever their ids.
        held_by: known copies that hold at least one of them; remove them there, or destroy the copy.
        missing: known copies that are not where they were written; nobody looked into them.
        unreadable: known copies that are there and could not be read.
    """

    signed: bool
    in_gallery: int
    held_by: tuple[Copy, ...]
    missing: tuple[Copy, ...]
    unreadable: tuple[Copy, ...]

    @property
    def gone(self) -> bool:
        """True when the receipt is genuine and no known copy may hold a sample of it."""
        return self.signed and not (self.in_gallery or self.held_by or self.missing or self.unreadable)


def verify_receipt(session: Session, receipt: RemovalReceipt) -> ReceiptVerdict:
    """Check a receipt against the gallery and all copies that the gallery or the receipt knows."""
    store = session.store
    with session.transaction(write=False):
        key = public_key(ledger.signing_seed(store))
        inside = _count(store.connection, receipt)
        copies = dict.fromkeys([*ledger.copies(store), *receipt.copies])
    found: dict[str, list[Copy]] = {"held": [], "missing": [], "unreadable": [], "free": []}
    for copy in copies:
        found[_state(copy, receipt)].append(copy)
    return ReceiptVerdict(
        signed=receipt.is_signed_by(key),
        in_gallery=inside,
        held_by=tuple(found["held"]),
        missing=tuple(found["missing"]),
        unreadable=tuple(found["unreadable"]),
    )


def _count(connection: sqlite3.Connection, receipt: RemovalReceipt) -> int:
    # The numbers are not sealed, so that a copy can be searched without its key.
    return sum(
        connection.execute("SELECT count(*) FROM samples WHERE uid = ?", (bytes.fromhex(uid),)).fetchone()[0]
        for uid in receipt.uids
    )


def _state(copy: Copy, receipt: RemovalReceipt) -> str:
    path = Path(copy.path)
    try:
        if not path.exists():
            return "missing"
        if zipfile.is_zipfile(path):
            inside = not exported_sample_ids(path).isdisjoint(receipt.sample_ids)
        else:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
                inside = _count(connection, receipt) > 0
    except (sqlite3.Error, GalleryError, OSError):
        return "unreadable"
    return "held" if inside else "free"
