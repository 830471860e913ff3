"""What a gallery knows of itself: its id, its signing key, its copies, and the receipt of a removal."""

import time
from collections.abc import Sequence
from pathlib import Path

from lineament.gallery.receipts import Copy, RemovalReceipt, public_key
from lineament.gallery.schema import SCHEMA_VERSION, SIGNING_LABEL
from lineament.gallery.store import Store
from lineament.gallery.types import GalleryInfo


def info(store: Store, path: Path) -> GalleryInfo:
    """The gallery at ``path`` in numbers."""
    log = path.with_name(path.name + "-wal")
    return GalleryInfo(
        space=store.space,
        schema_version=SCHEMA_VERSION,
        dimension=store.dimension(),
        size=store.size(),
        calibration=store.calibration(),
        created_s=store.created_s(),
        bytes_on_disk=sum(file.stat().st_size for file in (path, log) if file.exists()),
        held=store.held(),
        encrypted=is_encrypted(store),
        public_key=public_key(signing_seed(store)),
        other_space=other_space(store),
    )


def gallery_id(store: Store) -> str:
    """32 hex digits that a gallery shares with its backups alone."""
    return str(store.connection.execute("SELECT gallery_id FROM gallery").fetchone()[0])


def signing_seed(store: Store) -> bytes:
    """The secret that signs receipts."""
    (stored,) = store.connection.execute("SELECT signing_key FROM gallery").fetchone()
    return store.codec.open(stored, SIGNING_LABEL)


def is_encrypted(store: Store) -> bool:
    """True when the file tells nothing without its key."""
    (wrapped,) = store.connection.execute("SELECT wrapped_key FROM gallery").fetchone()
    return wrapped is not None


def other_space(store: Store) -> str:
    """Id of the embedding space beside the present one, or empty."""
    return str(store.connection.execute("SELECT other_space FROM gallery").fetchone()[0])


def copies(store: Store) -> list[Copy]:
    """Backups and exports that were made, oldest first."""
    found = store.connection.execute("SELECT kind, path, made_s FROM copies ORDER BY id")
    return [Copy(kind, store.codec.open_name(path, "path"), made_s) for kind, path, made_s in found]


def note_copy(store: Store, kind: str, path: str, made_s: float) -> None:
    """Remember a copy that was begun at ``made_s``, seconds since 1970 UTC."""
    stored = store.codec.seal_name(path, "path")
    forget_copy(store, path)
    store.connection.execute(
        "INSERT INTO copies (kind, path, made_s) VALUES (?, ?, ?)",
        (kind, stored, made_s),
    )


def forget_copy(store: Store, path: str) -> int:
    """Forget a copy that is not there; returns how many entries it had."""
    stored = store.codec.seal_name(path, "path")
    return store.connection.execute("DELETE FROM copies WHERE path = ?", (stored,)).rowcount


def unsigned_receipt(store: Store, subject_id: str, gone: Sequence[tuple[str, bytes]]) -> RemovalReceipt:
    """What was removed, in the removing transaction; ``gone`` holds ids and numbers of the samples."""
    return RemovalReceipt(
        gallery_id=gallery_id(store),
        subject_id=subject_id,
        sample_ids=tuple(name for name, _ in gone),
        uids=tuple(uid.hex() for _, uid in gone),
        removed_s=time.time(),
        purged=False,
        copies=tuple(copies(store)),
    )
