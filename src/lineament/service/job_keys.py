"""Another key for the jobs of a gallery; for every install, with what the service is made of or without."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from lineament.core.errors import GalleryError
from lineament.gallery import GalleryKey
from lineament.gallery.sealing import Codec, new_codec, unwrap
from lineament.service.job_layout import (
    DETAILS,
    FOLDER,
    FOUND,
    PICTURE,
    SUFFIX,
    connect,
    explained,
    picture_digest,
    subject_digest,
)


def rotate_jobs(gallery: Path, key: GalleryKey, new: GalleryKey, *, reencrypt: bool = False) -> int:
    """Make the jobs of a gallery open with ``new`` instead of ``key``; done again, it goes on where it stopped.

    Jobs that were not sealed are from now on.

    Args:
        gallery: its file; the service keeps the jobs beside it.
        key: that opens them now.
        new: that opens them from now on.
        reencrypt: also make a new data key for each and seal everything with it.

    Returns: how many open with neither key; they stay as they are.

    Raises:
        ServiceError: a job cannot be read or written.
        GalleryCorrupt: what a job holds was altered.
    """
    left = 0
    for path in sorted((gallery.parent / FOLDER / gallery.stem).glob(f"*{SUFFIX}")):
        with explained(), closing(connect(path)) as db:
            db.execute("BEGIN IMMEDIATE")
            if not _rotate(db, key, new, reencrypt):
                left += 1
                continue
            db.execute("COMMIT")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return left


def _rotate(db: sqlite3.Connection, key: GalleryKey, new: GalleryKey, reencrypt: bool) -> bool:
    """False when the job opens with neither key."""
    (wrapped,) = db.execute("SELECT wrapped_key FROM job").fetchone()
    if wrapped is None:
        _reseal(db, Codec(), new)
        return True
    try:
        old = unwrap(wrapped, key)
    except GalleryError:
        return _opens(wrapped, new)
    if reencrypt:
        _reseal(db, old, new)
    else:
        db.execute("UPDATE job SET wrapped_key = ?", (old.wrapped(new),))
    return True


def _opens(wrapped: bytes, key: GalleryKey) -> bool:
    try:
        unwrap(wrapped, key)
    except GalleryError:
        return False
    return True


def _reseal(db: sqlite3.Connection, old: Codec, key: GalleryKey) -> None:
    """Seal all that a job holds with a new data key; one picture at a time, since many may wait."""
    new = new_codec()

    def anew(stored: bytes | None, label: bytes) -> bytes | None:
        return None if stored is None else new.seal(old.open(stored, label), label)

    for (position,) in db.execute("SELECT position FROM items").fetchall():
        digest, details, picture, found = db.execute(
            "SELECT digest, details, picture, found FROM items WHERE position = ?", (position,)
        ).fetchone()
        subject = None
        if details is not None:
            said = json.loads(old.open(details, DETAILS))
            subject = subject_digest(new, said["subject"])
            # of two equal pictures one has no digest
            digest = digest and picture_digest(new, said["subject"], said["sample"])
        db.execute(
            "UPDATE items SET digest = ?, subject = ?, details = ?, picture = ?, found = ? WHERE position = ?",
            (digest, subject, anew(details, DETAILS), anew(picture, PICTURE), anew(found, FOUND), position),
        )
    db.execute("UPDATE job SET wrapped_key = ?, generation = generation + 1", (new.wrapped(key),))
