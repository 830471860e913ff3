"""Encrypting a gallery that is there, and changing its key."""

from collections.abc import Callable
from pathlib import Path

from lineament.core.errors import GalleryError
from lineament.gallery.corrections import DETAILS_LABEL
from lineament.gallery.keys import GalleryKey
from lineament.gallery.ledger import is_encrypted, other_space, signing_seed
from lineament.gallery.migrate import new_generation
from lineament.gallery.rows import crop_label, template_label
from lineament.gallery.schema import SIGNING_LABEL, stored_space
from lineament.gallery.sealing import Codec, SealedCodec, new_codec
from lineament.gallery.session import Session
from lineament.gallery.store import Store

_TIMEOUT_S = 60.0
_ROWS_AT_ONCE = 1000


def encrypt_gallery(path: str | Path, key: GalleryKey) -> None:
    """Seal all that a plain gallery holds, in one transaction; the plain bytes are overwritten.

    Copies that were made before stay plain. Open connections are told to open anew.

    Raises:
        GalleryNotFound: nothing is there.
        GalleryError: it is encrypted already, or cannot be written.
    """
    path = Path(path)
    session = Session(path, stored_space(path), False, _TIMEOUT_S, None)
    try:
        with session.transaction(write=True):
            if is_encrypted(session.store):
                raise GalleryError(f"{path} is encrypted already; change its key by rotating it")
            reseal(session.store, new_codec(), key)
        _finish(session)
    finally:
        session.close()


def rotate_key(path: str | Path, key: GalleryKey, new: GalleryKey, *, reencrypt: bool = False) -> None:
    """Make a gallery open with ``new`` instead of ``key``, in one transaction.

    Backups keep the key that they were made with.

    Args:
        path: the gallery.
        key: that opens it now.
        new: that opens it from now on.
        reencrypt: also make a new data key and seal everything with it. Needed when somebody may have had ``key``
            together with a copy of the file; otherwise only the wrapped data key changes, at once whatever the
            size. The digest of a rejected sample, whose template is gone, is lost: its picture and id still refuse
            it, its vector alone no longer does.

    Raises:
        GalleryNotFound: nothing is there.
        GalleryError: it is not encrypted, ``key`` does not open it, or it cannot be written.
    """
    path = Path(path)
    session = Session(path, stored_space(path), False, _TIMEOUT_S, key)
    try:
        with session.transaction(write=True):
            codec = session.store.codec
            if reencrypt:
                reseal(session.store, new_codec(), new)
            elif isinstance(codec, SealedCodec):
                session.store.connection.execute("UPDATE gallery SET wrapped_key = ?", (codec.wrapped(new),))
        _finish(session)
    finally:
        session.close()


def _finish(session: Session) -> None:
    if not session.purge():
        raise GalleryError(
            f"{session.path} opens with the new key, but another process still reads the old bytes, which are "
            "overwritten when it closes"
        )


def reseal(store: Store, new: SealedCodec, key: GalleryKey) -> None:
    """Seal all that a gallery holds, plain or sealed, with ``new``, whose data key is wrapped by ``key``."""
    old = store.codec
    seed = signing_seed(store)

    def name(kind: str) -> Callable[[str], str]:
        return lambda stored: new.seal_name(old.open_name(stored, kind), kind)

    for table, column, kind in (
        ("subjects", "name", "subject"),
        ("samples", "name", "sample"),
        ("samples", "source_sha256", "source"),
        ("copies", "path", "path"),
    ):
        convert = name(kind)
        found = store.connection.execute(f"SELECT id, {column} FROM {table}").fetchall()  # noqa: S608
        store.connection.executemany(
            f"UPDATE {table} SET {column} = ? WHERE id = ?",  # noqa: S608
            [(convert(stored), number) for number, stored in found],
        )
    for table in ("decisions", "corrections"):
        found = store.connection.execute(f"SELECT id, details FROM {table}").fetchall()  # noqa: S608
        store.connection.executemany(
            f"UPDATE {table} SET details = ? WHERE id = ?",  # noqa: S608
            [(new.seal(old.open(stored, DETAILS_LABEL), DETAILS_LABEL), number) for number, stored in found],
        )
    _recode_corrections(store, new)
    _recode_blobs(store, new)
    store.connection.execute(
        "UPDATE gallery SET wrapped_key = ?, signing_key = ?, generation = ?",
        (new.wrapped(key), new.seal(seed, SIGNING_LABEL), new_generation()),
    )


def _recode_corrections(store: Store, new: Codec) -> None:
    found = store.connection.execute("SELECT id, uid, space, vector FROM corrections").fetchall()
    for number, uid, space, stored in found:
        label = template_label(space, uid)
        store.connection.execute(
            "UPDATE corrections SET vector = ? WHERE id = ?",
            (new.seal(store.codec.open(stored, label), label), number),
        )


def _recode_blobs(store: Store, new: SealedCodec) -> None:
    """Templates, other templates, crops and digests, a block of samples at a time."""
    spaces = {"templates": store.space, "other_templates": other_space(store)}
    columns = {"templates": "vector", "other_templates": "vector", "crops": "picture"}
    last = 0
    while block := store.connection.execute(
        "SELECT id, uid, digest FROM samples WHERE id > ? ORDER BY id LIMIT ?", (last, _ROWS_AT_ONCE)
    ).fetchall():
        last = block[-1][0]
        for number, uid, digest in block:
            # A plain digest can be sealed as it is; a sealed one cannot be undone, its template makes the new one.
            fresh = new.keyed(digest)
            for table, column in columns.items():
                label = crop_label(uid) if table == "crops" else template_label(spaces[table], uid)
                found = store.connection.execute(
                    f"SELECT {column} FROM {table} WHERE sample = ?",  # noqa: S608
                    (number,),
                ).fetchone()
                if found is not None:
                    data = store.codec.open(found[0], label)
                    fresh = new.digest(data) if table == "templates" else fresh
                    store.connection.execute(
                        f"UPDATE {table} SET {column} = ? WHERE sample = ?",  # noqa: S608
                        (new.seal(data, label), number),
                    )
            store.connection.execute("UPDATE samples SET digest = ? WHERE id = ?", (fresh, number))
