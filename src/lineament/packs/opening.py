"""Opens a pack of any format, recognised by its content."""

from collections.abc import Callable
from pathlib import Path

from lineament.core.errors import DataError
from lineament.packs.filepack import FilePack
from lineament.packs.folder import open_folder
from lineament.packs.info import Format
from lineament.packs.rec import open_rec
from lineament.packs.recordio import MAGIC_BYTES
from lineament.packs.tarshards import open_tar, shards_of
from lineament.packs.tfrecord import begins_tfrecord, open_tfrecord
from lineament.packs.verification import open_bin
from lineament.packs.zipped import open_zip

_READERS: dict[Format, Callable[[Path], FilePack]] = {
    "folder": open_folder,
    "zip": open_zip,
    "rec": open_rec,
    "tfrecord": open_tfrecord,
    "tar": open_tar,
    "bin": open_bin,
}
_NAMED_FAULTS = 3


def open_pack(path: Path, *, strict: bool = False) -> FilePack:
    """Open a pack; what cannot be read is left out and listed in :attr:`FilePack.faults`.

    Args:
        path: folder of folders, zip of one, ``.rec`` (or its folder), TFRecord, ``.bin``, tar, folder of tar shards, or
            shards by a pattern ("train-*.tar", "train-{000000..000012}.tar").
        strict: raise for the first fault instead.

    Raises:
        DataError: nothing is there, its format is not known, or nothing in it can be read; with ``strict`` also for a
            fault.
    """
    found, place = recognise(path)
    pack = _READERS[found](place)
    if strict and pack.faults:
        pack.__exit__(None, None, None)
        more = f"; {len(pack.faults) - _NAMED_FAULTS} more" if len(pack.faults) > _NAMED_FAULTS else ""
        raise DataError(f"pack {path}: {'; '.join(map(str, pack.faults[:_NAMED_FAULTS]))}{more}")
    return pack


def recognise(path: Path) -> tuple[Format, Path]:
    """The format of a pack by its content, and the file or folder that its reader opens.

    Raises:
        DataError: nothing is there, or it is none of the known formats.
    """
    if path.is_dir():
        return _in_folder(path)
    if not path.exists():
        shards_of(path)  # raises unless it is a pattern of shards that are there
        return "tar", path
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise DataError(f"pack {path} cannot be read: {error.strerror}") from error
    for known, fits in _SIGNS.items():
        if fits(head):
            return known, path
    raise DataError(
        f"pack {path}: expected a zip, .rec, TFRecord, tar or .bin by its first bytes, got {head[:12].hex(' ')}; "
        "is it whole?"
    )


_HEAD_BYTES = 512
_SIGNS: dict[Format, Callable[[bytes], bool]] = {
    "rec": lambda head: head.startswith(MAGIC_BYTES),
    "zip": lambda head: head.startswith((b"PK\3\4", b"PK\5\6")),
    "tfrecord": begins_tfrecord,
    "tar": lambda head: head[257:262] == b"ustar",
    "bin": lambda head: head.startswith((b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5", b"(")),
}
"""What the first bytes of each format are like; in this order, as a pickle may begin with much."""


def _in_folder(path: Path) -> tuple[Format, Path]:
    """What a folder is: one with a ``.rec`` in it, tar shards, or folders of pictures."""
    packs = sorted(path.glob("*.rec"))
    if len(packs) > 1:
        raise DataError(
            f"folder {path} holds {len(packs)} .rec files; name one of them, {packs[0].name} for one"
        )
    if packs:
        return "rec", packs[0]
    return ("tar" if any(path.glob("*.tar")) else "folder"), path
