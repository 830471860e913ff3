"""Where the pictures of an evaluation set come from: a folder, or a zip that is read in place."""

import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from lineament.core.errors import DataError
from lineament.core.names import is_hidden
from lineament.imaging.formats import SUFFIXES

DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
"""What :mod:`zipfile` raises for bytes that are not sound; RuntimeError for encrypted ones and unknown methods."""
_NAMED_IN_ERRORS = 5


def is_picture(name: str) -> bool:
    """True for the name of a picture that is not hidden, nor inside of a hidden folder.

    Args:
        name: of a file, relative to the root of its source, with "/".
    """
    return PurePosixPath(name).suffix.lower() in SUFFIXES and not is_hidden(name)


class PictureSource:
    """Named pictures in a folder or a zip; names use "/" and are relative to its root.

    Use it as a context manager. It is not meant for several threads at once.
    """

    def __init__(self, path: Path) -> None:
        """Open a source.

        Args:
            path: a folder, or a zip file.

        Raises:
            DataError: neither of them.
        """
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        if path.is_file():
            try:
                self._zip = zipfile.ZipFile(path)
            except (OSError, *DAMAGED_ZIP) as error:
                raise DataError(f"pictures {path}: expected a folder or a zip file, {error}") from error
        elif not path.is_dir():
            raise DataError(
                f"pictures {path}: expected a folder or a zip file, there is nothing at that path"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._zip is not None:
            self._zip.close()

    def names(self) -> tuple[str, ...]:
        """Names of all files, sorted."""
        if self._zip is not None:
            return tuple(sorted(info.filename for info in self._zip.infolist() if not info.is_dir()))
        found = (p.relative_to(self.path).as_posix() for p in self.path.rglob("*") if p.is_file())
        return tuple(sorted(found))

    def require(self, names: Sequence[str]) -> None:
        """Check that all pictures are there.

        Raises:
            DataError: some are not; gives their number and names the first ones.
        """
        there = set(self.names())
        missing = [name for name in names if name not in there]
        if missing:
            some = ", ".join(missing[:_NAMED_IN_ERRORS])
            more = " and others" if len(missing) > _NAMED_IN_ERRORS else ""
            raise DataError(f"{len(missing)} of {len(names)} pictures are not in {self.path}: {some}{more}")

    def read(self, name: str) -> bytes:
        """Encoded bytes of one picture.

        Raises:
            DataError: no such picture, or it cannot be read.
        """
        try:
            if self._zip is not None:
                return self._zip.read(name)
            return (self.path / name).read_bytes()
        except (OSError, KeyError, *DAMAGED_ZIP) as error:
            raise DataError(
                f"picture {name} of {self.path} cannot be read: {str(error) or type(error).__name__}; expected a file "
                "that is there and may be read, in a zip one without damage or password"
            ) from error

    def digest(self, names: Sequence[str]) -> str:
        """Digest of a list of pictures: sha256 over the sorted names and the sha256 of each picture, hex.

        Raises:
            DataError: a picture cannot be read.
        """
        total = hashlib.sha256()
        for name in sorted(names):
            total.update(f"{name}\t{hashlib.sha256(self.read(name)).hexdigest()}\n".encode())
        return total.hexdigest()
