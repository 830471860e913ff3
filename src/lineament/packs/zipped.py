"""A zip of a folder of pictures, read in place by several threads at once."""

import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from lineament.core.errors import DataError
from lineament.core.names import is_hidden
from lineament.packs.base import Record
from lineament.packs.filepack import ByteFile, Damaged, FilePack
from lineament.packs.folder import COLUMNS, Layout, filled, sound_paths, tree_index
from lineament.packs.info import INFO, PAIRS, RECORDS, beside

_LOCAL = struct.Struct("<4s5H3I2H")
_LOCAL_MAGIC = b"PK\3\4"
_ENCRYPTED = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of each member, so that the same pictures give the same zip."""


def open_zip(path: Path) -> FilePack:
    """Open a zip whose content is laid out as :func:`lineament.packs.folder.open_folder` reads it.

    Args:
        path: the zip.

    Raises:
        DataError: it is no sound zip, or holds no picture.
    """
    file = ByteFile(path)
    try:
        members = _members(path)
        files, faults = sound_paths(iter(members))

        def read(name: str) -> bytes:
            return _content(file, members[name])

        index, kept = tree_index(path, files, read, faults)
    except BaseException:
        file.close()
        raise
    return FilePack(path, index, lambda number: filled(read(kept[number])), file.close, open_zip)


def _members(path: Path) -> dict[str, zipfile.ZipInfo]:
    """The files of a zip by their names, without hidden ones."""
    try:
        with zipfile.ZipFile(path) as opened:
            listed = opened.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"pack {path} is no sound zip: {error}") from error
    return {info.filename: info for info in listed if not info.is_dir() and not is_hidden(info.filename)}


def _content(file: ByteFile, member: zipfile.ZipInfo) -> bytes:
    """The content of a member, its CRC-32 compared."""
    if member.flag_bits & _ENCRYPTED:
        raise Damaged("the member is encrypted; unpack the zip with its password first")
    magic, *fields = _LOCAL.unpack(file.read(member.header_offset, _LOCAL.size))
    if magic != _LOCAL_MAGIC:
        raise Damaged(f"expected a member at byte {member.header_offset}")
    start = member.header_offset + _LOCAL.size + fields[-2] + fields[-1]
    data = file.read(start, member.compress_size)
    if member.compress_type == zipfile.ZIP_DEFLATED:
        data = _inflated(data, member.file_size)
    elif member.compress_type != zipfile.ZIP_STORED:
        raise Damaged(f"compression method {member.compress_type} is not read; unpack the zip first")
    if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
        raise Damaged("the member's size or CRC-32 does not agree")
    return data


def _inflated(data: bytes, size: int) -> bytes:
    """Unpacked bytes, never more than were promised."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
    except zlib.error as error:
        raise Damaged(f"the member cannot be unpacked: {error}") from error


class ZipWriter:
    """Writes a zip of folders, pictures uncompressed, with a ``records.csv``."""

    columns = COLUMNS

    def __init__(self, path: Path, subjects: Sequence[str]) -> None:
        """Begin a zip.

        Args:
            path: the file.
            subjects: name of each subject.
        """
        self._layout = Layout(subjects)
        self._path = path
        self._zip = zipfile.ZipFile(path, "x", zipfile.ZIP_STORED)

    def add(self, record: Record) -> tuple[str, ...]:
        """Write the next record; returns its row in ``records.csv``."""
        file = self._layout.file_of(record)
        self._zip.writestr(zipfile.ZipInfo(file, _EPOCH), record.image)
        return file, record.name, str(record.label)

    def finish(self) -> None:
        """Take in the lists that lie beside, and write the directory."""
        for name in (INFO, RECORDS, PAIRS):
            text = beside(self._path, name)
            if text.exists():
                self._zip.writestr(zipfile.ZipInfo(name, _EPOCH), text.read_bytes())
                text.unlink()
        self._zip.close()

    def close(self) -> None:
        """Give the file back, finished or not."""
        self._zip.close()
