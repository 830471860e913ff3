"""Many pictures in one upload: a ZIP archive, or files of a form; which subject each of them is of."""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from lzma import LZMAError
from pathlib import PurePosixPath
from zlib import error as DeflateError  # noqa: N812

from lineament.core.errors import ImageTooLarge, InputError
from lineament.core.names import is_hidden
from lineament.service.ids import check_address

MAX_ENTRIES = 10_000
"""Pictures of one upload."""
MAX_UNPACKED_BYTES = 1 << 30
"""All pictures of one upload together."""
_MAX_NAME = 150
_ENCRYPTED = 0x1
_UNREADABLE = (
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    OSError,
    DeflateError,
    LZMAError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Upload:
    """One picture that is to be enrolled.

    Attributes:
        subject_id: whose it is.
        name: its path in the upload, for people.
        picture: encoded.
    """

    subject_id: str
    name: str
    picture: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_address(self.subject_id, "the name of a folder, which is a subject's id,")

    @property
    def sample_id(self) -> str:
        """The file's name, so that people know it again, and the start of its digest, so that it is unique."""
        name = "".join(c if c.isprintable() else "?" for c in PurePosixPath(self.name).name)[-_MAX_NAME:]
        return f"{name}#{hashlib.sha256(self.picture).hexdigest()[:12]}"


def read_archive(data: bytes, subject_id: str | None, max_bytes: int) -> Iterator[Upload]:
    """The pictures of a ZIP archive one by one; hidden files are left out.

    Args:
        data: the archive.
        subject_id: whose all pictures are; None for the folder that each lies in.
        max_bytes: size of one picture.

    Raises:
        InputError: no archive, a damaged or encrypted one, too many pictures, or one that lies in no folder.
        ImageTooLarge: a picture, or all of them together, too large when unpacked.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = [
                e for e in archive.infolist() if not e.is_dir() and not is_hidden(str(_path(e.filename)))
            ]
            subjects = _subjects([e.filename for e in entries], subject_id)
            if any(e.flag_bits & _ENCRYPTED for e in entries):
                raise InputError("the archive is encrypted; send one that is not")
            left = MAX_UNPACKED_BYTES
            for entry, subject in zip(entries, subjects, strict=True):
                picture = _unpacked(archive, entry, min(max_bytes, left))
                left -= len(picture)
                yield Upload(subject, entry.filename, picture)
    except _UNREADABLE as error:
        raise InputError(f"archive: expected a sound ZIP file, got a damaged one ({error})") from error


def read_files(
    files: Sequence[tuple[str, bytes]], subject_id: str | None, max_bytes: int
) -> Iterator[Upload]:
    """Files of a form as :func:`read_archive` gives those of an archive.

    Args:
        files: names with content.
        subject_id: whose all pictures are; None for the folder that each name says.
        max_bytes: size of one picture.

    Raises:
        InputError: too many pictures, or one that lies in no folder.
        ImageTooLarge: a picture is too large.
    """
    shown = [(name, data) for name, data in files if not is_hidden(str(_path(name)))]
    subjects = _subjects([name for name, _ in shown], subject_id)
    for (name, data), subject in zip(shown, subjects, strict=True):
        if len(data) > max_bytes:
            raise _too_large(max_bytes)
        yield Upload(subject, name, data)


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, max_bytes: int) -> bytes:
    """The bytes of an entry; what it says about its size is not believed."""
    with archive.open(entry) as stream:
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    return data


def _too_large(max_bytes: int) -> ImageTooLarge:
    return ImageTooLarge(f"a picture of the upload has more than the {max_bytes} bytes that are left for it")


def _subjects(names: Sequence[str], subject_id: str | None) -> list[str]:
    """Whose each file is."""
    if not names:
        raise InputError("the upload holds no pictures")
    if len(names) > MAX_ENTRIES:
        raise InputError(f"an upload may hold {MAX_ENTRIES} pictures, got {len(names)}; send several")
    if subject_id is not None:
        return [subject_id] * len(names)
    folders = [_path(name).parent.name for name in names]
    if not all(folders):
        raise InputError(
            f"{folders.count('')} pictures lie in no folder; put each in a folder that has the subject's id, or "
            "give one subject for all"
        )
    return folders


def _path(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))
