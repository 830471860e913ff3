"""Packs of encoded pictures (.rec, TFRecord, tar, .bin) as sources of pictures in folders of people."""

from pathlib import Path, PurePosixPath
from types import TracebackType

from lineament.core.errors import DataError
from lineament.evaluation.sets import PictureSource
from lineament.imaging.formats import SUFFIXES
from lineament.packs import UNKNOWN, open_pack


class PackSource(PictureSource):
    """The records of a pack, named "subject/000000012.jpg" after their subject and number.

    A record whose subject the pack does not tell has a name without folder.
    """

    def __init__(self, path: Path) -> None:
        """Open a pack.

        Args:
            path: what :func:`lineament.packs.open_pack` opens.

        Raises:
            DataError: no such pack, or a record of it that cannot be read.
        """
        self.path = path
        self._pack = open_pack(path, strict=True)
        self._number = {
            _name(number, name, "" if label == UNKNOWN else self._pack.subjects[label]): number
            for number, (name, label) in enumerate(
                zip(self._pack.names, self._pack.labels.tolist(), strict=True)
            )
        }

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pack.__exit__(kind, error, trace)

    def names(self) -> tuple[str, ...]:
        """Names of all records, sorted."""
        return tuple(sorted(self._number))

    def read(self, name: str) -> bytes:
        """Encoded bytes of one record.

        Raises:
            DataError: no such record, or it cannot be read.
        """
        if name not in self._number:
            raise DataError(f"picture {name} of {self.path} cannot be read: no such record")
        return self._pack.read(self._number[name]).image


def _name(number: int, name: str, subject: str) -> str:
    # Subjects may hold "/", which would make folders of them.
    folder = f"{subject.replace('/', '_')}/" if subject else ""
    suffix = PurePosixPath(name).suffix.lower()
    return f"{folder}{number:09d}{suffix if suffix in SUFFIXES else '.jpg'}"


def open_source(path: Path) -> PictureSource:
    """A folder or zip as it is, any other file as a pack.

    Args:
        path: folder, zip, or pack.

    Raises:
        DataError: nothing is there, or it is none of them.
    """
    packed = path.is_file() and path.suffix.lower() != ".zip"
    return PackSource(path) if packed else PictureSource(path)
