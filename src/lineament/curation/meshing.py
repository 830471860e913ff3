"""Packs of photos under drawn meshes: in parallel, whole or not at all, with a list that is enough to draw each again.

What is drawn for a photo depends on the seed and the photo's name alone: not on the number of workers, on the order
of a pack or on what else is in it.
"""

import csv
import hashlib
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import numpy as np

from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.errors import DataError, InputError
from lineament.curation.align import CropRefusal, Progress, Refused
from lineament.curation.mesh_records import COLUMNS, MeshRecord, mesh_row
from lineament.curation.tables import subject_of, write_refusals
from lineament.imaging import decode_image, encode_png
from lineament.imaging.portrait import Issuance, IssuedPhoto, IssueRanges, draw_issuance, issue_photo
from lineament.packs import UNKNOWN, FilePack, Format, PackInfo, Record, write_pack
from lineament.packs.base import IndexArray, name_fault
from lineament.packs.filepack import Damaged, Index
from lineament.packs.folder import filled
from lineament.packs.pictures import suffix_of
from lineament.packs.selection import Selection, every_record
from lineament.packs.writing import staged

FaceFinder = Callable[[ImageArray], FloatArray | tuple[str, str]]
"""The (5, 2) x, y px of the face that a photo is about, or why there is none (reason, detail)."""
GROUP = 16
"""Pictures of one worker that are in memory at once."""
T = TypeVar("T")


class Part(StrEnum):
    """What is written of each photo."""

    ISSUED = "issued"
    CLEAN = "clean"
    MASK = "mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """What is drawn, and what is written of it.

    Attributes:
        ranges: from where layout, mesh, blur and compression are drawn; meshes by ranges that have a name
            (:data:`lineament.curation.mesh_records.RANGES`).
        seed: of everything that is drawn.
        parts: besides the issued photos: the exact clean pictures, the masks; both as PNG.
        workers: photos that are looked at at once; does not change the pictures.
    """

    ranges: IssueRanges = field(default_factory=IssueRanges)
    seed: int = 0
    parts: frozenset[Part] = frozenset()
    workers: int = 1

    def __post_init__(self) -> None:
        if self.seed < 0 or not 1 <= self.workers <= 64:
            raise ValueError(f"expected a seed >= 0 and 1 to 64 workers, got {self.seed} and {self.workers}")


@dataclass(frozen=True, slots=True)
class MeshReport:
    """What was written.

    Attributes:
        info: of the pack; None for a single picture.
        places: where each part lies.
        listed: the list of issued photos.
        families: number of photos under each family of meshes.
        refusals: photos that were left out.
        refused: the list of these.
    """

    info: PackInfo | None
    places: Mapping[Part, Path]
    listed: Path
    families: Mapping[str, int]
    refusals: tuple[Refused, ...]
    refused: Path


def picture_pack(path: Path) -> FilePack:
    """One picture file as a pack of one record under its file name, of an unknown subject.

    Raises:
        DataError: the file is not there, or its name cannot be that of a record.
    """
    fault = name_fault(path.name)
    if fault is not None or not path.is_file():
        raise DataError(f"{path}: {fault or 'there is no such file'}")

    def fetch(_index: int) -> bytes:
        try:
            return filled(path.read_bytes())
        except OSError as error:
            raise Damaged(f"the file cannot be read: {error.strerror}") from error

    index = Index([path.name], np.array([UNKNOWN], np.int64), [])
    return FilePack(path, index, fetch, lambda: None, picture_pack)


def places_of(out: Path, file_format: Format | None, parts: Iterable[Part]) -> dict[Part, Path]:
    """Where the parts go, the issued photos to ``out`` and the others beside it.

    ``crops.mask.rec`` for ``crops.rec``, ``crops.mask`` for a folder ``crops``, ``photo.mask.png`` for ``photo.jpg``.

    Args:
        out: where the issued photos go.
        file_format: of the packs; None for a single picture.
        parts: the others.
    """
    is_folder = file_format == "folder" or (file_format == "tar" and out.suffix != ".tar")
    stem, suffix = (out.name, "") if is_folder else (out.stem, out.suffix)
    if file_format is None:
        suffix = ".png"
    return {Part.ISSUED: out} | {
        part: out.with_name(f"{stem}.{part}{suffix}") for part in sorted(parts) if part is not Part.ISSUED
    }


def mesh_pack(
    pack: FilePack,
    out: Path,
    file_format: Format | None,
    settings: MeshSettings,
    finder: FaceFinder | None = None,
    progress: Progress | None = None,
) -> MeshReport:
    """Issue every photo of a pack: frame it, lay a mesh over it, blur and compress it as it is drawn.

    Beside ``out`` appear ``OUT.mesh.csv``, the list that is enough to draw each again, and ``OUT.refused.csv``, the
    photos that were left out. Everything is written under a hidden name first, and shown when all of it is whole.

    Args:
        pack: the photos; the caller closes it.
        out: what to write; neither it nor what goes beside it may be there.
        file_format: of the pack to write; None writes the picture of a pack of one as a file.
        settings: what is drawn.
        finder: finds the face that a layout is framed by; None frames the middle of the photo.
        progress: told how far it is, over all parts.

    Raises:
        DataError: something is in the way, no photo can be issued, or the disk refuses; nothing is left behind.
    """
    places = places_of(out, file_format, settings.parts)
    listed, refused = (out.with_name(f"{out.name}.{what}.csv") for what in ("mesh", "refused"))
    taken = next((path for path in (*places.values(), listed, refused) if path.exists()), None)
    if taken is not None:
        raise DataError(f"{taken} exists; choose another name or remove it first")
    work = _Work(pack, settings, finder, places, progress)
    records = work.look()
    if not len(records):
        raise DataError(f"no photo of {pack.path} can be issued; the first: {work.refusals[0].detail}")
    selection = every_record(pack, file_format or "folder", records)
    infos = {}
    with staged(out, as_folder=False) as target:
        write_refusals(target.with_name(refused.name), work.refusals)
        with target.with_name(listed.name).open("x", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(COLUMNS)
            for part, place in places.items():
                made = work.records(selection, part, table.writerow)
                infos[part] = _write(made, pack, selection, target.with_name(place.name), file_format)
    families = dict(sorted(work.families.items()))
    return MeshReport(infos[Part.ISSUED], places, listed, families, tuple(work.refusals), refused)


def _write(
    records: Iterator[Record], pack: FilePack, selection: Selection, path: Path, file_format: Format | None
) -> PackInfo | None:
    if file_format is None:
        (only,) = records
        path.write_bytes(only.image)
        return None
    origin = pack.info.origin if pack.info else None
    return write_pack(records, path, file_format, pack.subjects, pairs=selection.pairs, origin=origin)


class _Work:
    """Photos of one pack on their way."""

    def __init__(
        self,
        pack: FilePack,
        settings: MeshSettings,
        finder: FaceFinder | None,
        parts: Collection[Part],
        progress: Progress | None,
    ) -> None:
        self._pack, self._settings, self._finder, self._progress = pack, settings, finder, progress
        self._done, self._all = 0, len(pack) * (1 + len(parts))
        self._points = np.empty((0 if finder is None else len(pack), 5, 2), np.float32)
        self.refusals: list[Refused] = []
        self.families: Counter[str] = Counter()

    def look(self) -> IndexArray:
        """Numbers of the photos that can be issued; why the others cannot goes into ``refusals``."""
        sound = []
        for number, refusal in self._each(np.arange(len(self._pack)), self._look):
            if refusal is None:
                sound.append(number)
            else:
                name = self._pack.names[number]
                reason, detail = refusal
                self.refusals.append(
                    Refused(name, subject_of(self._pack, number), CropRefusal(reason), detail)
                )
        return np.array(sound, np.int64)

    def records(
        self, selection: Selection, part: Part, write_row: Callable[[list[str]], object]
    ) -> Iterator[Record]:
        """One part of every photo; rows of the list are written with the issued ones."""
        repeated = len(np.unique(selection.records)) < len(selection.records)
        for place, (number, photo) in enumerate(self._each(selection.records, self._issue)):
            issuance, made = photo
            image = made.image if part is Part.ISSUED else encode_png(_pixels(made, part))
            name = f"{place:08d}{suffix_of(image)}" if repeated else self._pack.names[number]
            if part is Part.ISSUED:
                write_row(self._row(number, name, issuance, made))
            yield Record(name, int(self._pack.labels[number]), image)

    def _row(self, number: int, name: str, issuance: Issuance, made: IssuedPhoto) -> list[str]:
        digest = hashlib.sha256(made.image).hexdigest()
        subject, coverage = subject_of(self._pack, number), round(float(made.mask.mean()), 6)
        self.families[issuance.mesh.family] += 1
        record = MeshRecord(
            number, name, subject, issuance, made.ink, made.opacity, made.lines, coverage, digest
        )
        return mesh_row(record)

    def _each(self, numbers: IndexArray, work: Callable[[int], T]) -> Iterator[tuple[int, T]]:
        """Results in the order of the numbers, a group at a time."""
        group = GROUP * self._settings.workers
        with ThreadPoolExecutor(self._settings.workers) as pool:
            for start in range(0, len(numbers), group):
                some = numbers[start : start + group].tolist()
                yield from zip(some, pool.map(work, some), strict=True)
                self._done += len(some)
                if self._progress is not None:
                    self._progress(self._done, self._all)

    def _look(self, number: int) -> tuple[str, str] | None:
        try:
            pixels = self._decoded(number)
        except (DataError, InputError) as error:
            return CropRefusal.UNREADABLE, str(error)
        if self._finder is not None:
            found = self._finder(pixels)
            if isinstance(found, tuple):
                return found
            self._points[number] = found
        return None

    def _issue(self, number: int) -> tuple[Issuance, IssuedPhoto]:
        pixels = self._decoded(number)
        points = None if self._finder is None else self._points[number]
        seed = (self._settings.seed, zlib.crc32(self._pack.names[number].encode()))
        issuance = draw_issuance(self._settings.ranges, seed, pixels.shape, points)
        return issuance, issue_photo(pixels, issuance)

    def _decoded(self, number: int) -> ImageArray:
        record = self._pack.read(number)
        return decode_image(record.image, name=record.name).pixels


def _pixels(made: IssuedPhoto, part: Part) -> ImageArray:
    """The clean picture, or the mask as grey levels."""
    if part is Part.CLEAN:
        return made.clean
    return np.repeat(np.rint(made.mask * 255).astype(np.uint8)[..., None], 3, axis=2)
