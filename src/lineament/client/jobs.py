"""A bulk enrollment of a service: send pictures, watch, cancel."""

import time
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath

from lineament.client.connection import Connection
from lineament.client.results import JobItem, JobProgress
from lineament.core.errors import InputError, ServiceError
from lineament.core.names import is_hidden
from lineament.imaging.formats import SUFFIXES

UPLOAD_BYTES = 8 << 20
"""Pictures of one upload together, unless a single one is larger."""
UPLOAD_PICTURES = 500
"""Pictures of one upload."""
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class NewPicture:
    """A picture to enroll.

    Attributes:
        subject_id: whose it is.
        name: of the file.
        picture: encoded.
    """

    subject_id: str
    name: str
    picture: bytes = field(repr=False)


class RemoteJob:
    """A job; get one from :class:`~lineament.client.RemoteGallery`.

    What it has taken is enrolled even when the service is killed and started again. Sending pictures again, after a
    connection broke for example, adds nothing twice.

    Attributes:
        job_id: its id.
    """

    def __init__(self, connection: Connection, path: str, job_id: str) -> None:
        self._connection = connection
        self._path = path
        self.job_id = job_id

    def send(self, pictures: Iterable[NewPicture]) -> int:
        """Send pictures, a few megabytes at a time; they are read as they are needed.

        Returns: how many the job has taken that it did not have before.

        Raises:
            GalleryError: the job was cancelled.
            InputError: a subject id that cannot be.
        """
        taken = 0
        for subject, batch in _batches(pictures):
            data = {} if subject is None else {"subject": subject}
            files = {"archive": ("pictures.zip", _zipped(batch))}
            d = self._connection.call("POST", f"{self._path}/pictures", files=files, data=data)
            taken += d["taken"]
        return taken

    def send_people(self, folder: Path) -> int:
        """Send a folder that holds a folder of pictures for each subject, called by its id.

        Returns: as :meth:`send`.

        Raises:
            InputError: not such a folder.
        """
        if not folder.is_dir():
            raise InputError(f"{folder}: expected a folder with one folder for each subject")
        return self.send(_people(folder))

    def progress(self) -> JobProgress:
        """How far it is."""
        d = self._connection.call("GET", self._path)
        return JobProgress(d["state"], d["total"], d["waiting"], d["outcomes"], d["created_s"])

    def wait(self, timeout_s: float) -> JobProgress:
        """Wait until nothing waits any more.

        Args:
            timeout_s: how long.

        Raises:
            ServiceError: it takes longer; the job goes on.
        """
        until = time.monotonic() + timeout_s
        while (found := self.progress()).waiting:
            if time.monotonic() + _LOOK_S > until:
                raise ServiceError(
                    f"{found.waiting:,} of {found.total:,} pictures still wait after {timeout_s:g} s ({found.state}); "
                    "the job goes on, wait again"
                )
            time.sleep(_LOOK_S)
        return found

    def items(self) -> Iterator[JobItem]:
        """What became of each picture, in the order in which they were sent."""
        for d in self._connection.pages(f"{self._path}/items", "items", limit=1000):
            yield JobItem.of(d)

    def cancel(self) -> None:
        """Enroll nothing more; what was enrolled stays."""
        self._connection.call("POST", f"{self._path}/cancel")

    def delete(self) -> None:
        """Have the service forget the job, and what it knows of its pictures.

        Raises:
            GalleryError: it still works; cancel it first.
        """
        self._connection.call("DELETE", self._path)


def _batches(pictures: Iterable[NewPicture]) -> Iterator[tuple[str | None, list[NewPicture]]]:
    """Uploads, with the subject of those whose id cannot be the name of a folder."""
    batch: list[NewPicture] = []
    size = 0
    for picture in pictures:
        if any(c in picture.subject_id for c in "/\\") or is_hidden(picture.subject_id):
            yield picture.subject_id, [picture]
            continue
        if batch and (size + len(picture.picture) > UPLOAD_BYTES or len(batch) == UPLOAD_PICTURES):
            yield None, batch
            batch, size = [], 0
        batch.append(picture)
        size += len(picture.picture)
    if batch:
        yield None, batch


def _zipped(batch: Iterable[NewPicture]) -> bytes:
    """An archive; each picture in a folder of its own number, so that equal names do not meet."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for number, p in enumerate(batch):
            # as the service reads it, which takes "\\" for a step into a folder and leaves hidden files out
            name = PurePosixPath(p.name.replace("\\", "/")).name.lstrip(".") or "picture"
            archive.writestr(f"{number}/{p.subject_id}/{name}", p.picture)
    return stream.getvalue()


def _people(folder: Path) -> Iterator[NewPicture]:
    for subject in sorted(f for f in folder.iterdir() if f.is_dir() and not is_hidden(f.name)):
        for path in sorted(subject.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file() and not is_hidden(path.name):
                yield NewPicture(subject.name, path.name, path.read_bytes())
