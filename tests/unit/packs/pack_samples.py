"""Packs that tests make: a few records, and what a pack holds in one comparable value."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lineament.packs import UNKNOWN, FilePack, Format, Pairs, Record, open_pack, write_pack

FILES: dict[Format, str] = {
    "folder": "pack",
    "zip": "pack.zip",
    "rec": "pack.rec",
    "tfrecord": "pack.tfrecord",
    "tar": "pack.tar",
    "bin": "pack.bin",
}
SUBJECTS = ("ada", "bob", "eve")
RECORDS = (
    Record("ada/ada_0001.jpg", 0, b"\xff\xd8\xffada one"),
    Record("ada/ada_0002.png", 0, b"\x89PNG\r\n\x1a\nada two"),
    Record("bob/bob_0001.jpg", 1, b"\xff\xd8\xff" + bytes(60)),
    Record("loose.jpg", UNKNOWN, b"\xff\xd8\xffnobody knows"),
)
PAIRS = Pairs(np.arange(4).reshape(2, 2), np.array([True, False]))


def content(pack: FilePack) -> tuple[list[Record], list[str]]:
    """Every record, and the subjects."""
    return [pack.read(i) for i in range(len(pack))], list(pack.subjects)


def write(
    folder: Path,
    file_format: Format,
    records: Sequence[Record] = RECORDS,
    subjects: Sequence[str] = SUBJECTS,
    pairs: Pairs | None = PAIRS,
) -> Path:
    """A pack in a format, under its name of :data:`FILES`."""
    path = folder / FILES[file_format]
    write_pack(records, path, file_format, subjects, pairs=pairs)
    return path


def read(path: Path) -> tuple[list[Record], list[str]]:
    """What a sound pack holds."""
    with open_pack(path, strict=True) as pack:
        return content(pack)
