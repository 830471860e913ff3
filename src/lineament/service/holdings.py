"""The galleries of a service: files of one folder, or one PostgreSQL database; opened once and shared by requests."""

import logging
import os
import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Protocol

from anyio import to_thread
from fastapi import Path as PathParameter
from fastapi import Request
from pydantic import AfterValidator

from lineament.core.errors import EmbeddingSpaceMismatch, GalleryCorrupt, GalleryError, GalleryNotFound
from lineament.gallery import Gallery, GalleryKey, GalleryStore, key_from_environment, read_key
from lineament.gallery.types import MAX_ID_LENGTH
from lineament.service.config import GallerySettings
from lineament.service.errors import GalleryUnavailable, NotReady
from lineament.service.ids import check_address
from lineament.service.work import Opening

NAME_PATTERN = "^[a-z][a-z0-9_]{0,39}$"
"""What a gallery may be called, on either kind of store."""
SUFFIX = ".gallery"
_FILES = ("", "-wal", "-shm")
_BLOCK = 1 << 20
log = logging.getLogger(__name__)

GalleryName = Annotated[str, PathParameter(pattern=NAME_PATTERN, description="Name of the gallery.")]
SubjectPath = Annotated[
    str,
    PathParameter(min_length=1, max_length=MAX_ID_LENGTH, description="Id of the subject, percent-encoded."),
    AfterValidator(lambda text: check_address(text, "subject id")),
]
SamplePath = Annotated[
    str,
    PathParameter(min_length=1, max_length=MAX_ID_LENGTH, description="Id of the sample, percent-encoded."),
    AfterValidator(lambda text: check_address(text, "sample id")),
]


class Place(Protocol):
    """Where galleries lie."""

    def names(self) -> list[str]:
        """Names of the galleries, in order."""

    def exists(self, name: str) -> bool:
        """Whether there is one of that name."""

    def version(self, name: str) -> object:
        """Changes when the gallery was replaced, where that can be seen without opening it."""

    def open(self, name: str, space: str, create: bool) -> GalleryStore:
        """Open one."""

    def remove(self, name: str) -> None:
        """Remove one with all that it holds."""


class Folder:
    """Embedded galleries, one file each.

    Args:
        path: made when the first gallery is.
        key: of encrypted galleries; new ones are encrypted with it.
    """

    def __init__(self, path: Path, key: GalleryKey | None) -> None:
        self._path = path
        self._key = key

    def names(self) -> list[str]:
        """Names of the files that can be galleries."""
        found = (p.name.removesuffix(SUFFIX) for p in self._path.glob(f"*{SUFFIX}"))
        return sorted(name for name in found if re.fullmatch(NAME_PATTERN, name))

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return self._file(name).exists()

    def version(self, name: str) -> object:
        """The file behind the name."""
        with suppress(FileNotFoundError):
            status = self._file(name).stat()
            return status.st_dev, status.st_ino
        return None

    def open(self, name: str, space: str, create: bool) -> GalleryStore:
        """Open a file; searches of it run one after another, beside the networks."""
        if create:
            try:
                self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise GalleryError(
                    f"the folder of galleries cannot be made ({error.strerror}); check the settings"
                ) from error
        return Gallery.open(self._file(name), space=space, create=create, threads=1, key=self._key)

    def remove(self, name: str) -> None:
        """Remove a file and the logs beside it, their bytes overwritten."""
        path = self._file(name)
        try:
            for suffix in _FILES:
                wipe(path.with_name(path.name + suffix))
        except OSError as error:
            raise GalleryError(f"the gallery could not be removed ({error.strerror}); try again") from error

    def _file(self, name: str) -> Path:
        return self._path / f"{name}{SUFFIX}"


class PostgresPlace:
    """Galleries of one PostgreSQL database.

    Args:
        dsn: connection string.

    Raises:
        GalleryError: the extra is not installed, or the server cannot be reached.
    """

    def __init__(self, dsn: str) -> None:
        from lineament.gallery.postgres import gallery_names

        gallery_names(dsn)
        self._dsn = dsn

    def names(self) -> list[str]:
        """Names of the galleries of the database."""
        from lineament.gallery.postgres import gallery_names

        return gallery_names(self._dsn)

    def exists(self, name: str) -> bool:
        """Whether there is such a gallery."""
        return name in self.names()

    def version(self, name: str) -> object:  # noqa: ARG002
        """Not seen from here: a gallery that was dropped says so when it is asked."""
        return ""

    def open(self, name: str, space: str, create: bool) -> GalleryStore:
        """Open one; calls run at once on several connections."""
        from lineament.gallery.postgres import PostgresGallery

        return PostgresGallery.open(self._dsn, space=space, name=name, create=create)

    def remove(self, name: str) -> None:
        """Drop its schema."""
        from lineament.gallery.postgres import drop_gallery

        drop_gallery(self._dsn, name)


class Holdings:
    """The open galleries of one process; at ``app.state.holdings``. Every method may be called from any thread.

    Args:
        settings: where galleries lie.

    Raises:
        GalleryError: the key cannot be read.
    """

    def __init__(self, settings: GallerySettings) -> None:
        self.key = key_from_environment() if settings.key_file is None else read_key(settings.key_file)
        self._settings = settings
        self._lock = threading.Lock()
        self._place: Place | None = None
        self._open: dict[str, tuple[object, GalleryStore]] = {}

    def names(self) -> list[str]:
        """Names of all galleries, in order.

        Raises:
            GalleryError: the store cannot be reached.
        """
        with self._lock:
            return self._reach().names()

    def require(self, name: str) -> None:
        """Insist on a gallery.

        Raises:
            GalleryNotFound: there is none of that name.
            GalleryError: the store cannot be reached.
        """
        with self._lock:
            if not self._reach().exists(name):
                raise _not_found()

    def create(self, name: str, space: str) -> GalleryStore:
        """Make a gallery for templates of ``space``.

        Raises:
            GalleryError: there is one of that name, or the store cannot be written.
        """
        with self._lock:
            place = self._reach()
            if place.exists(name):
                raise GalleryError("there is a gallery of that name; choose another one")
            store = place.open(name, space, create=True)
            self._open[name] = place.version(name), store
            return store

    def open(self, name: str, space: str) -> GalleryStore:
        """A gallery, for as long as the service runs; it is opened anew when it was restored or encrypted.

        Raises:
            GalleryNotFound: there is none of that name.
            EmbeddingSpaceMismatch: it holds templates of another space.
            GalleryCorrupt: it is damaged.
            GalleryUnavailable: it cannot be opened otherwise; the log says why.
            GalleryError: the store cannot be reached.
        """
        with self._lock:
            version = self._reach().version(name)
            known, store = self._open.get(name, (None, None))
        if store is not None and known == version and store.space == space and _is_fresh(store):
            return store
        with self._lock:
            if name in self._open and self._open[name][1] is not store:
                return self._open[name][1]  # another thread was quicker
            self._forget(name)
            try:
                opened = self._reach().open(name, space, create=False)
            except GalleryNotFound:
                raise _not_found() from None
            except EmbeddingSpaceMismatch:
                raise EmbeddingSpaceMismatch(
                    "the gallery holds templates of another embedding space; use the profile that made them"
                ) from None
            except GalleryCorrupt:
                raise
            except GalleryError as error:
                # a missing key, for example: for who runs the service, who must be told the path as well
                log.exception("gallery_failed", extra={"reason": str(error)})
                raise GalleryUnavailable(
                    "the gallery cannot be opened now; the log of the service says why"
                ) from error
            self._open[name] = version, opened
            return opened

    def remove(self, name: str) -> None:
        """Remove a gallery with all that it holds.

        Raises:
            GalleryNotFound: there is none of that name.
            GalleryError: the store cannot be reached or written.
        """
        with self._lock:
            if not self._reach().exists(name):
                raise _not_found()
            self._forget(name)
            self._reach().remove(name)

    def close(self) -> None:
        """Close every gallery."""
        with self._lock:
            for name in list(self._open):
                self._forget(name)

    def _reach(self) -> Place:
        """The place of the settings, reached when it is first asked for."""
        if self._place is None:
            s = self._settings
            self._place = PostgresPlace(s.dsn) if s.dsn else Folder(s.folder, self.key)
        return self._place

    def _forget(self, name: str) -> None:
        _, store = self._open.pop(name, (None, None))
        if store is not None:
            store.close()


def _not_found() -> GalleryNotFound:
    return GalleryNotFound("there is no gallery of that name; see /v1/galleries")


def _is_fresh(store: GalleryStore) -> bool:
    """False for a gallery that was restored, encrypted or switched since it was opened."""
    try:
        store.calibration  # noqa: B018 (the cheapest question)
    except GalleryError:
        return False
    return True


def wipe(path: Path) -> None:
    """Remove a file and overwrite its bytes; nothing happens when it is not there.

    The name goes first, so that nobody opens what is being overwritten.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        stream = path.open("rb+")
    except FileNotFoundError:
        return
    with stream:
        path.unlink()
        for start in range(0, os.fstat(stream.fileno()).st_size, _BLOCK):
            stream.seek(start)
            stream.write(bytes(min(_BLOCK, os.fstat(stream.fileno()).st_size - start)))
        stream.flush()
        os.fsync(stream.fileno())


async def ready_space(request: Request) -> str:
    """A dependency: the embedding space of this service.

    Raises:
        NotReady: its networks are not loaded.
    """
    opening: Opening = request.app.state.opening
    if opening.desk is None:
        raise NotReady("the networks are being loaded; try again in a few seconds")
    return opening.desk.made_with.space


async def open_gallery(request: Request, gallery: GalleryName) -> GalleryStore:
    """A dependency: the gallery of the path; put it after :func:`lineament.service.access.require`.

    Raises:
        NotReady: the embedding space is not known yet.
        GalleryNotFound: there is none of that name.
        EmbeddingSpaceMismatch: it holds templates of another space.
        GalleryError: it cannot be reached or read.
    """
    space = await ready_space(request)
    holdings: Holdings = request.app.state.holdings
    return await to_thread.run_sync(holdings.open, gallery, space)
