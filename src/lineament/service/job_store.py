"""The jobs of a service: one file each, in a folder for each gallery."""

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lineament.core.errors import GalleryError, LineamentError, ServiceError
from lineament.gallery import GalleryKey
from lineament.service.errors import GalleryUnavailable, NotFound
from lineament.service.holdings import wipe
from lineament.service.job_file import JobFile
from lineament.service.job_layout import SUFFIX
from lineament.service.job_types import JobSettings

ID_PATTERN = "^[0-9a-f]{20}$"


class JobStore:
    """The jobs of one folder; at ``app.state.jobs``. Every method may be called from any thread.

    Args:
        folder: made when the first job is.
        key: of encrypted galleries; jobs are sealed with it.
    """

    def __init__(self, folder: Path, key: GalleryKey | None) -> None:
        self.folder = folder
        self._key = key

    def make(self, settings: JobSettings) -> JobFile:
        """A new job. Ids of later jobs come later in the order of texts.

        Raises:
            ServiceError: the folder cannot be written.
        """
        job_id = f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(4)}"
        return JobFile.make(self._path(settings.gallery, job_id), settings, self._key)

    def open(self, gallery: str, job_id: str) -> JobFile:
        """A job of a gallery.

        Raises:
            NotFound: there is none.
            GalleryUnavailable: it is sealed with another key.
            ServiceError: it cannot be read.
        """
        try:
            return JobFile(self._path(gallery, job_id), self._key)
        except FileNotFoundError:
            raise NotFound("there is no such job; see the jobs of the gallery") from None
        except GalleryError as error:
            raise GalleryUnavailable(
                f"the job {job_id} does not open with the key of the service; give the service the key that the job "
                "was sealed with, or delete the job"
            ) from error

    def ids(self, gallery: str) -> list[str]:
        """Ids of the jobs of a gallery, oldest first."""
        return [path.name.removesuffix(SUFFIX) for path in _files(self.folder / gallery)]

    def paths(self) -> list[Path]:
        """The files of all jobs, oldest first."""
        found = (path for gallery in self.folder.glob("*") for path in _files(gallery))
        return sorted(found, key=lambda path: path.name)

    def remove(self, gallery: str, job_id: str) -> None:
        """Remove a job with what it knows, whether it opens or not; its bytes are overwritten.

        Raises:
            ServiceError: it cannot be removed.
        """
        path = self._path(gallery, job_id)
        try:
            for suffix in ("", "-wal", "-shm"):
                wipe(path.with_name(path.name + suffix))
        except OSError as error:
            raise ServiceError(f"the job could not be removed ({error.strerror}); try again") from error

    def remove_all(self, gallery: str) -> None:
        """Cancel and remove the jobs of a gallery that goes.

        Raises:
            ServiceError: one cannot be removed.
        """
        for job_id in self.ids(gallery):
            # nothing can be enrolled from one that does not open
            with suppress(LineamentError), self.open(gallery, job_id) as job:
                job.cancel()
            self.remove(gallery, job_id)

    def forget(self, gallery: str, subject_id: str) -> None:
        """Have all jobs of a gallery forget a subject that is removed.

        Raises:
            ServiceError: one cannot be opened or written; the subject must not count as removed.
        """
        for job in self._each(gallery):
            with job:
                job.forget(subject_id)

    def check(self, gallery: str) -> None:
        """Insist that all jobs of a gallery can be changed.

        Raises:
            ServiceError: one cannot be opened or written.
        """
        for job in self._each(gallery):
            with job, job.changing():
                pass

    @contextmanager
    def moving(self, gallery: str, old: str, new: str) -> Iterator[None]:
        """Have what jobs know of one subject be of another one, together with the change of the gallery in the block.

        Nothing of the subject is enrolled meanwhile; when the block fails, nothing has changed.

        Raises:
            ServiceError: a job cannot be opened or written.
        """
        with ExitStack() as held:
            for job in self._each(gallery):
                with ExitStack() as opened:
                    opened.enter_context(job)
                    if opened.enter_context(job.moving(old, new)):
                        held.enter_context(opened.pop_all())
            yield

    def _path(self, gallery: str, job_id: str) -> Path:
        return self.folder / gallery / f"{job_id}{SUFFIX}"

    def _each(self, gallery: str) -> Iterator[JobFile]:
        for job_id in self.ids(gallery):
            with suppress(NotFound):
                yield self.open(gallery, job_id)


def _files(folder: Path) -> list[Path]:
    with suppress(OSError):
        found = (p for p in folder.iterdir() if re.fullmatch(ID_PATTERN, p.name.removesuffix(SUFFIX)))
        return sorted(p for p in found if p.suffix == SUFFIX)
    return []
