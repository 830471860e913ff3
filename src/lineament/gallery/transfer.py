"""The portable file of a gallery: a zip of uncompressed members, readable with any zip and NumPy reader.

``manifest.json`` (format, version, space, dimension, calibration, created_s, subjects, samples),
``samples.jsonl`` (one line a sample: subject_id, sample_id, source_sha256, created_s) and ``templates.npy``
((N, D) little-endian float32, row i belongs to line i). No pickle; the zip's CRC-32 guards every member.
"""

import json
import math
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from lineament.core.errors import (
    EmbeddingSpaceMismatch,
    GalleryCorrupt,
    GalleryNotFound,
    InputError,
)
from lineament.gallery.rows import STORED, Row
from lineament.gallery.store import Store
from lineament.gallery.types import GallerySize, Imported, check_id, check_sha256

FORMAT = "lineament-gallery"
VERSION = 1
MANIFEST, SAMPLES, TEMPLATES = "manifest.json", "samples.jsonl", "templates.npy"
_MAX_LINE_BYTES = 16_384
_MAX_MANIFEST_BYTES = 65_536
_NORM_TOLERANCE = 1e-3
# What the zip, JSON and NumPy readers raise on damaged input; NotImplementedError and RecursionError are
# RuntimeErrors.
_DAMAGE = (
    zipfile.BadZipFile,
    struct.error,
    EOFError,
    InputError,
    LookupError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)


def export(store: Store, space: str, path: Path) -> GallerySize:
    """Write everything in ``store`` to the new file ``path``.

    Raises:
        OSError: it cannot be written.
    """
    size = store.size()
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "space": space,
        "dimension": store.dimension(),
        "calibration": store.calibration(),
        "created_s": store.created_s(),
        "subjects": size.subjects,
        "samples": size.samples,
    }
    with path.open("xb") as file:
        _write(file, manifest, store)
    return size


def _write(file: IO[bytes], manifest: dict[str, Any], store: Store) -> None:
    # The zip module writes one member at a time, the store gives both kinds of data in one pass.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive, tempfile.TemporaryFile() as lines:
        archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
        with archive.open(TEMPLATES, "w", force_zip64=True) as templates:
            shape = (manifest["samples"], manifest["dimension"] or 0)
            header = {"descr": STORED.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(templates, header)
            for row in store.rows():
                templates.write(row.vector.tobytes())
                lines.write(_line(row))
        lines.seek(0)
        with archive.open(SAMPLES, "w", force_zip64=True) as samples:
            while block := lines.read(1 << 20):
                samples.write(block)


def _line(row: Row) -> bytes:
    names = {
        "subject_id": row.subject_id,
        "sample_id": row.sample_id,
        "source_sha256": row.source_sha256,
        "created_s": row.created_s,
    }
    return json.dumps(names, ensure_ascii=False).encode() + b"\n"


def exported_space(path: Path) -> str:
    """Id of the embedding space of the exported file at ``path``.

    Raises:
        GalleryNotFound: no file there.
        GalleryCorrupt: the file is not a sound export.
    """
    with _sound(path), zipfile.ZipFile(path) as archive:
        return str(_read_manifest(archive)["space"])


def exported_sample_ids(path: Path) -> set[str]:
    """Ids of all samples in the exported file at ``path``.

    Raises:
        GalleryNotFound: no file there.
        GalleryCorrupt: the file is not a sound export.
    """
    with _sound(path), zipfile.ZipFile(path) as archive:
        _read_manifest(archive)
        with archive.open(SAMPLES) as lines:
            return {json.loads(line)["sample_id"] for line in lines}


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    """Turn what damaged exports raise inside the block into GalleryCorrupt."""
    if not path.is_file():
        raise GalleryNotFound(f"no exported gallery at {path}; check the name")
    try:
        yield
    except _DAMAGE as error:
        raise GalleryCorrupt(
            f"{path} is not a sound export ({error}); nothing was imported, export it anew"
        ) from error


@dataclass(frozen=True, slots=True)
class Export:
    """An exported gallery that is being read.

    Attributes:
        dimension: length of a template; None in an empty export.
        calibration: name of the calibration record in use, or empty.
        rows: every sample once, in the order of enrollment.
    """

    dimension: int | None
    calibration: str
    rows: Iterator[Row]


@contextmanager
def opened_export(space: str, path: Path) -> Iterator[Export]:
    """The exported file at ``path``, to be read inside the block.

    Raises:
        GalleryNotFound: no file there.
        EmbeddingSpaceMismatch: it holds templates of another space.
        GalleryCorrupt: the file is not a sound export; also while its rows are read.
    """
    with _sound(path), zipfile.ZipFile(path) as archive:
        manifest = _read_manifest(archive)
        if manifest["space"] != space:
            raise EmbeddingSpaceMismatch(
                f"{path} holds templates of {manifest['space']}, the gallery those of {space}; "
                "import it into a gallery of its space"
            )
        dimension = manifest["dimension"] if manifest["samples"] else None
        yield Export(dimension, manifest["calibration"], _rows(archive, manifest))


def import_(store: Store, space: str, path: Path) -> Imported:
    """Insert everything of the file at ``path``; the caller's transaction undoes it when this raises."""
    before = store.size()
    with opened_export(space, path) as export:
        if export.dimension is not None:
            store.require_dimension(export.dimension)
        for position, row in enumerate(export.rows):
            store.insert(row, position)
        if not store.calibration():
            store.set_calibration(export.calibration)
    after = store.size()
    return Imported(after.subjects - before.subjects, after.samples - before.samples)


def _read_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    # Stored members cannot unfold into more than the file holds.
    if any(
        archive.getinfo(name).compress_type != zipfile.ZIP_STORED for name in (MANIFEST, SAMPLES, TEMPLATES)
    ):
        raise ValueError("its members are compressed, expected stored ones")
    with archive.open(MANIFEST) as file:
        manifest = json.loads(file.read(_MAX_MANIFEST_BYTES))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f'its manifest does not say "{FORMAT}"')
    if manifest.get("version") != VERSION:
        raise ValueError(f"its version is {manifest.get('version')}, this program reads {VERSION}")
    types = {"space": str, "calibration": str, "samples": int}
    wrong = [name for name, kind in types.items() if not isinstance(manifest.get(name), kind)]
    if manifest.get("samples") and not isinstance(manifest.get("dimension"), int):
        wrong.append("dimension")
    if wrong:
        raise ValueError(f"its manifest lacks {', '.join(wrong)}")
    return manifest


def _rows(archive: zipfile.ZipFile, manifest: dict[str, Any]) -> Iterator[Row]:
    count, dimension = manifest["samples"], manifest["dimension"] or 0
    with archive.open(SAMPLES) as lines, archive.open(TEMPLATES) as templates:
        if np.lib.format.read_magic(templates) != (1, 0):
            raise ValueError("its templates are not of NumPy format 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(templates)
        if shape != (count, dimension) or fortran or dtype != STORED:
            raise ValueError(f"its templates are {shape} {dtype}, expected {(count, dimension)} float32")
        for _ in range(count):
            yield _row(
                lines.readline(_MAX_LINE_BYTES), templates.read(dimension * STORED.itemsize), dimension
            )
        # Reading to the end makes the zip reader compare the checksums.
        if lines.read(1) or templates.read(1):
            raise ValueError("it holds more than its manifest says")


def _row(line: bytes, blob: bytes, dimension: int) -> Row:
    values = json.loads(line)
    if len(blob) != dimension * STORED.itemsize:
        raise ValueError("its templates end too early")
    vector = np.frombuffer(blob, STORED)
    norm = float(np.linalg.norm(vector))
    if not abs(norm - 1.0) < _NORM_TOLERANCE:
        raise ValueError(f"a template has norm {norm:.4f}, expected 1")
    created_s = float(values["created_s"])
    if not math.isfinite(created_s):
        raise ValueError("a time is not finite")
    return Row(
        check_id(values["subject_id"], "subject id"),
        check_id(values["sample_id"], "sample id"),
        vector,
        check_sha256(values["source_sha256"]),
        created_s,
    )
