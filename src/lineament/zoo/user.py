"""A user's own models: added from an exported folder, checked, and then like any other model of the registry.

The folder of own models holds one manifest a model and, beside it, a folder with the files that it names. The
manifest is written last and replaced in one step, so that readers see a whole model or none.
"""

import contextlib
import hashlib
import re
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from filelock import FileLock

from lineament.core.errors import ManifestError, ModelNotFound, WeightsCorrupt
from lineament.zoo.archive import write_checked
from lineament.zoo.files import SourceFailed, disk_errors, write_atomic
from lineament.zoo.manifest import (
    NAME_PATTERN,
    Manifest,
    is_user_model,
    list_models,
    manifest_text,
    parse_manifest,
    user_manifest,
)
from lineament.zoo.options import MODELS_VARIABLE, FetchOptions, one_at_a_time, user_models_folder
from lineament.zoo.profiles import list_profiles
from lineament.zoo.store import derive, derived_folder

MANIFEST_FILE = "manifest.toml"
CARD_FILE = "MODEL_CARD.md"
MAX_TEXT_BYTES = 1 << 20
MAX_GOLDEN_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class AddedModel:
    """A model that is now in the registry.

    Attributes:
        manifest: its data, under the name that it has here.
        path: the manifest's file.
        replaced: an earlier model of that name is gone.
    """

    manifest: Manifest
    path: Path
    replaced: bool


def add_model(
    source: Path, name: str = "", *, replace: bool = False, options: FetchOptions | None = None
) -> AddedModel:
    """Take an exported model into the user's folder: its manifest, weights, golden vectors and card.

    Every file is compared with its digest, and the network with its golden vectors, before the model can be seen.
    Several processes may do so at once: one works, the others wait for it.

    Args:
        source: folder or zip file that an export wrote; it is only read.
        name: another name for the model; another name is another embedding space.
        replace: take the place of an own model of that name.
        options: cache for what is derived from the files; by default what the environment says.

    Raises:
        ManifestError: no such model in ``source``, a manifest with faults or with code that this package has not
            got, or a name that is taken.
        WeightsCorrupt: a file is damaged or absent, or does not give the stored outputs.
        WeightsMissing: the folder cannot be written.
    """
    folder = user_models_folder()
    with _opened(source) as files:
        manifest = _renamed(_read_manifest(files), name)
        with disk_errors(folder, "folder of your models", MODELS_VARIABLE), _alone(folder):
            list_models.cache_clear()
            replaced = _check_name(manifest.name, replace)
            _check_code(manifest)
            content = folder / f"{manifest.name}-{secrets.token_hex(6)}"
            try:
                placed = _copy(files, manifest, content)
                _prove(placed, content, options or FetchOptions.from_environment())
                write_atomic(user_manifest(placed.name), manifest_text(placed).encode())
            except BaseException:
                shutil.rmtree(content, ignore_errors=True)
                raise
            _sweep(placed.name, content)
            list_models.cache_clear()
    return AddedModel(placed, user_manifest(placed.name), replaced)


def remove_model(name: str, options: FetchOptions | None = None) -> None:
    """Delete a model that the user added, and what was derived from it; calibration records stay.

    Args:
        name: name of the model; its manifest may be damaged.
        options: cache with what was derived; by default what the environment says.

    Raises:
        ModelNotFound: no model has that name.
        ManifestError: it is not one of the user's.
        WeightsMissing: the folder cannot be written.
    """
    folder = user_models_folder()
    if not is_user_model(name):
        if name in list_models():
            raise ManifestError(f"{name} comes with a package; only models that you added can be removed")
        raise ModelNotFound(f"you have added no model that is called {name!r}")
    with disk_errors(folder, "folder of your models", MODELS_VARIABLE), _alone(folder):
        path = user_manifest(name)
        with contextlib.suppress(ManifestError, FileNotFoundError, UnicodeDecodeError):
            manifest = parse_manifest(path.read_text(encoding="utf-8"), str(path))
            derived = derived_folder(manifest, options or FetchOptions.from_environment())
            shutil.rmtree(derived, ignore_errors=True)
        path.unlink(missing_ok=True)
        _sweep(name)
        list_models.cache_clear()


class _Files(Protocol):
    """A folder or an archive, read by names inside of the model's folder."""

    shown: str

    def open(self, name: str) -> IO[bytes]:
        """Raises FileNotFoundError."""
        ...


class _Folder:
    def __init__(self, path: Path) -> None:
        self.shown = str(path)
        self._path = path

    def open(self, name: str) -> IO[bytes]:
        return (self._path / name).open("rb")


class _Zip:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.shown = str(path)
        self._archive = archive
        names = [PurePosixPath(n) for n in archive.namelist() if PurePosixPath(n).name == MANIFEST_FILE]
        self._inside = min(names, key=lambda n: len(n.parts), default=PurePosixPath(MANIFEST_FILE)).parent

    def open(self, name: str) -> IO[bytes]:
        try:
            return self._archive.open(str(self._inside / name))
        except KeyError as error:
            raise FileNotFoundError(f"{self.shown} has no {name}") from error
        except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in an unknown way
            raise zipfile.BadZipFile(str(error)) from error


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[_Files]:
    if source.is_dir():
        yield _Folder(source)
        return
    if not source.is_file():
        raise ManifestError(f"expected a folder or zip file of an exported model, but there is no {source}")
    try:
        with zipfile.ZipFile(source) as archive:
            yield _Zip(source, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise WeightsCorrupt(f"{source} is not a sound zip file ({error}); export the model again") from error


def _read(files: _Files, name: str, limit: int) -> bytes:
    try:
        with files.open(name) as stream:
            data = stream.read(limit + 1)
    except FileNotFoundError as error:
        raise ManifestError(
            f"expected an exported model, but {files.shown} has no {name}; give the folder that an export wrote"
        ) from error
    if len(data) > limit:
        raise ManifestError(f"{files.shown}: {name} is larger than {limit >> 20} MB; export the model again")
    return data


def _read_manifest(files: _Files) -> Manifest:
    origin = f"{files.shown}: {MANIFEST_FILE}"
    try:
        text = _read(files, MANIFEST_FILE, MAX_TEXT_BYTES).decode()
    except UnicodeDecodeError as error:
        raise ManifestError(f"{origin} is not UTF-8 text ({error}); export the model again") from error
    return parse_manifest(text, origin)


def _renamed(manifest: Manifest, name: str) -> Manifest:
    if name and not re.match(NAME_PATTERN, name):
        raise ManifestError(
            f"a model's name is small letters and digits, in parts joined by '.' or '-', got {name!r}"
        )
    return manifest.model_copy(update={"name": name or manifest.name})


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


def _check_name(name: str, replace: bool) -> bool:
    """Whether an own model of that name gives way.

    Raises:
        ManifestError: the name is taken.
    """
    if is_user_model(name):
        if not replace:
            raise ManifestError(
                f"you have a model that is called {name!r}; give --replace to take its place, or --name another"
            )
        return True
    if name in list_models() or name in list_profiles():
        raise ManifestError(f"{name!r} is a model or profile of a package; give --name another")
    return False


def _check_code(manifest: Manifest) -> None:
    """Only code that the registry names already may be called: a manifest from elsewhere is data."""
    known = [m for m in list_models().values() if not is_user_model(m.name)]
    allowed = {m.factory for m in known} | {w.convert for m in known for w in m.weights} | {""}
    unknown = {manifest.factory, *(w.convert for w in manifest.weights)} - allowed
    if unknown:
        raise ManifestError(
            f"{manifest.name}: {', '.join(sorted(unknown))} is not code of a known model family; install the package "
            "that has it, or correct the manifest"
        )
    if manifest.golden is None:
        raise ManifestError(
            f"{manifest.name} has no golden vectors, so nothing can be checked; export it again"
        )


def _copy(files: _Files, manifest: Manifest, content: Path) -> Manifest:
    """Copy what the manifest names into ``content``; returns the manifest with the new places."""
    if manifest.golden is None:
        raise ValueError("a model without golden vectors is refused before it is copied")
    names = [PurePosixPath(n).name for n in (*(w.file for w in manifest.weights), manifest.golden.file)]
    if len(set(names)) != len(names):
        raise ManifestError(f"{manifest.name}: each file needs its own name, got {names}")
    for weight, name in zip(manifest.weights, names, strict=False):
        try:
            with files.open(name) as stream:
                write_checked(stream, content / name, (weight.sha256, weight.bytes), f"{files.shown}: {name}")
        except (SourceFailed, FileNotFoundError) as error:
            raise WeightsCorrupt(f"{manifest.name}: {error}; export the model again") from error
    golden = _read(files, names[-1], MAX_GOLDEN_BYTES)
    found = hashlib.sha256(golden).hexdigest()
    if found != manifest.golden.sha256:
        raise WeightsCorrupt(
            f"{files.shown}: {names[-1]}: sha256 expected {manifest.golden.sha256}, found {found}; export again"
        )
    write_atomic(content / names[-1], golden)
    with contextlib.suppress(ManifestError):
        write_atomic(content / CARD_FILE, _read(files, CARD_FILE, MAX_TEXT_BYTES))
    inside = [f"{content.name}/{n}" for n in names]
    weights = tuple(w.model_copy(update={"file": f}) for w, f in zip(manifest.weights, inside, strict=False))
    golden_place = manifest.golden.model_copy(update={"file": inside[-1]})
    return manifest.model_copy(update={"weights": weights, "golden": golden_place})


def _prove(manifest: Manifest, content: Path, options: FetchOptions) -> None:
    """Derive the network files and run the golden vectors, as for every model before its first use."""
    published = {w.role: content / PurePosixPath(w.file).name for w in manifest.weights}
    with disk_errors(options.cache), one_at_a_time(options, manifest.name):
        derive(manifest, published, options)


def _sweep(name: str, keep: Path | None = None) -> None:
    """Delete the files of earlier models of that name, and of runs that were cut off; the caller holds the lock."""
    for entry in user_models_folder().iterdir():
        if (
            entry.is_dir()
            and entry != keep
            and re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{12}}", entry.name)
        ):
            shutil.rmtree(entry, ignore_errors=True)
