"""Bringing a backup back without bringing back what was removed since."""

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineament.core.errors import GalleryCorrupt, GalleryError
from lineament.gallery import ledger
from lineament.gallery.check import find_faults
from lineament.gallery.copies import write_copy
from lineament.gallery.keys import GalleryKey, key_from_environment
from lineament.gallery.migrate import new_generation
from lineament.gallery.receipts import Copy
from lineament.gallery.recode import reseal
from lineament.gallery.schema import LOGS, explained, stored_space, sync_folder
from lineament.gallery.sealing import Codec, SealedCodec
from lineament.gallery.session import Session
from lineament.gallery.store import Store

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restoration brought back.

    Attributes:
        samples: samples that a search finds now.
        removed_again: samples of the backup that the gallery had removed since, and that stay away.
    """

    samples: int
    removed_again: int


def restore(
    backup: str | Path,
    path: str | Path,
    *,
    key: GalleryKey | None = None,
    backup_key: GalleryKey | None = None,
) -> Restored:
    """Put the state of a backup into the gallery at ``path``, or make the gallery when nothing is there.

    The backup is read and checked whole before anything is touched. What the gallery at ``path`` has removed since
    is removed again, so a deletion outlives a restoration; an encrypted gallery stays encrypted, even when the backup
    is not, and keeps its data key; copies known to either are on the list. All happens in one step: a process killed
    at any moment leaves the old state or the new one, and open connections are told to open anew.

    Args:
        backup: a file that ``Gallery.copies.back_up`` wrote; it is not changed.
        path: the gallery. When it is damaged, move it away with its ``-wal`` and ``-shm``: what it removed since the
            backup then comes back, and must be removed again by the receipts.
        key: of the gallery, which the restored one keeps; None takes the one of the environment.
        backup_key: of the backup, when it is another; None takes ``key``.

    Raises:
        GalleryNotFound: no backup there.
        GalleryCorrupt: the backup has faults, or the gallery is damaged and not moved away.
        GalleryError: the backup is of another gallery, a key is wrong, a log of another file lies beside ``path``,
            the gallery removed somebody or made a copy meanwhile, or a file cannot be read or written.
    """
    backup, path = Path(backup), Path(path)
    key = key or key_from_environment()
    stored_space(backup)
    if not path.exists():
        _require_no_log(path)
    part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.restore")
    try:
        with explained(path):
            write_copy(backup, part)
        fresh = Session(part, stored_space(part), False, _TIMEOUT_S, _fitting(part, backup_key or key))
        try:
            known = _known(path, key) if path.exists() else None
            restored = _prepare(fresh, backup, path, known, key)
            fresh.purge()
        finally:
            fresh.close()
        if known is not None:
            _overwrite(path, part, known)
        else:
            part.replace(path)
            sync_folder(path.parent)
    finally:
        for suffix in ("", *LOGS):
            part.with_name(part.name + suffix).unlink(missing_ok=True)
    return restored


@dataclass(frozen=True, slots=True)
class _Known:
    """What the gallery knows that its backup may not.

    Attributes:
        gallery_id: its id.
        removed: numbers of all samples that it removed.
        copies: all that it made.
        codec: how it stores things.
        state: equal as long as it removes nobody, makes no copy and keeps its keys.
    """

    gallery_id: str
    removed: tuple[bytes, ...]
    copies: tuple[Copy, ...]
    codec: Codec
    state: tuple[Any, ...]


def _known(path: Path, key: GalleryKey | None) -> _Known:
    with _sound(path):
        current = Session(path, stored_space(path), False, _TIMEOUT_S, _fitting(path, key))
        with closing(current), current.transaction(write=False):
            connection = current.store.connection
            return _Known(
                gallery_id=ledger.gallery_id(current.store),
                removed=tuple(row[0] for row in connection.execute("SELECT uid FROM removed")),
                copies=tuple(ledger.copies(current.store)),
                codec=current.store.codec,
                state=_state(connection),
            )


def _state(connection: sqlite3.Connection) -> tuple[Any, ...]:
    found: tuple[Any, ...] = connection.execute(
        "SELECT generation, wrapped_key, (SELECT count(*) FROM removed), (SELECT count(*) FROM copies), "
        "(SELECT max(id) FROM copies) FROM gallery"
    ).fetchone()
    return found


def _overwrite(path: Path, part: Path, known: _Known) -> None:
    """Put ``part`` over the gallery, unless that knows more by now than what ``part`` was made with."""
    is_checked = False

    def check(*_: int) -> None:
        # The first page is written, so nobody else can write any more; others read what was there before.
        nonlocal is_checked
        if not is_checked:
            with closing(sqlite3.connect(path)) as reader:
                if _state(reader) != known.state:
                    raise GalleryError(
                        f"{path} removed somebody, made a copy or changed its key meanwhile; nothing was changed, "
                        "restore again"
                    )
            is_checked = True

    with explained(path), closing(sqlite3.connect(part)) as new, closing(sqlite3.connect(path)) as old:
        new.backup(old, pages=1, progress=check)
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _require_no_log(path: Path) -> None:
    """A log that another file left would be played into the gallery that comes to its place."""
    left = [path.name + suffix for suffix in LOGS if path.with_name(path.name + suffix).exists()]
    if left:
        raise GalleryError(
            f"{', '.join(left)} in {path.parent} belong to a file that is no longer there; move them to it, or away"
        )


def _fitting(path: Path, key: GalleryKey | None) -> GalleryKey | None:
    """The key when the file is encrypted; a plain one takes none."""
    with explained(path), closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 1:
            return None
        (wrapped,) = connection.execute("SELECT wrapped_key FROM gallery").fetchone()
    return None if wrapped is None else key


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    """Say what to do about a damaged gallery that a backup is to replace."""
    try:
        yield
    except GalleryCorrupt as error:
        raise GalleryCorrupt(
            f"{path} is damaged, so that nobody knows what it removed since the backup; nothing was changed, move it "
            "away with its -wal and -shm, restore again, and remove again by the receipts"
        ) from error


def _prepare(
    fresh: Session, backup: Path, path: Path, known: _Known | None, key: GalleryKey | None
) -> Restored:
    """Bring the private copy to the state that the gallery is to have."""
    store = fresh.store
    with fresh.transaction(write=False):
        faults = find_faults(store)
        identity = ledger.gallery_id(store)
    if faults:
        raise GalleryCorrupt(
            f"the backup {backup} is not sound: {faults[0]}; nothing was changed, take another one"
        )
    if known is not None and identity != known.gallery_id:
        raise GalleryError(
            f"{backup} is not a backup of {path}; nothing was changed, restore it to a name of its own"
        )
    with fresh.transaction(write=True):
        back = []
        if known is not None:
            back = _remove_again(store, known.removed)
            for copy in known.copies:
                ledger.note_copy(store, copy.kind, copy.path, copy.made_s)
        if key is not None:
            _seal_as(store, None if known is None else known.codec, key)
        store.connection.execute("UPDATE gallery SET generation = ?", (new_generation(),))
        return Restored(store.size().samples, len(back))


def _remove_again(store: Store, removed: Sequence[bytes]) -> list[int]:
    """Remove what is there of ``removed``; returns the rows."""
    find = store.connection.execute
    back = [
        row[0] for uid in removed for row in find("SELECT id FROM samples WHERE uid = ?", (uid,)).fetchall()
    ]
    store.remove_samples(back)
    store.connection.executemany("INSERT OR IGNORE INTO removed VALUES (?)", [(uid,) for uid in removed])
    return back


def _seal_as(store: Store, codec: Codec | None, key: GalleryKey) -> None:
    """Seal what a backup holds as the gallery does; a plain backup, or one with an older data key, all of it anew."""
    own = store.codec
    if isinstance(codec, SealedCodec) and not (isinstance(own, SealedCodec) and own.has_key_of(codec)):
        reseal(store, codec, key)
    elif isinstance(own, SealedCodec):
        store.connection.execute("UPDATE gallery SET wrapped_key = ?", (own.wrapped(key),))
