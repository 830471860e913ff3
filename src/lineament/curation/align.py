"""From photos to aligned crops: many, in parallel, and without losing what is done when the work is interrupted.

Every outcome goes into a work file first, a transaction for each group of pictures. A run that was killed finds it
and does the rest; as each picture is looked at by itself, the finished crops are the same as those of one run.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout

from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.errors import DataError, InputError
from lineament.core.types import Detections
from lineament.detection import Detector
from lineament.geometry import ARCFACE_112, align
from lineament.imaging import decode_image, encode_jpeg, encode_png
from lineament.packs import Pack, Record
from lineament.pipeline.choose import FaceRules, central_face, has_usual_points

Progress = Callable[[int, int], None]
"""Called with the number of pictures done and the number of all pictures."""
GROUP = 16
"""Pictures of one worker in one transaction."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS work (task TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outcomes (
    record INTEGER PRIMARY KEY, crop BLOB, reason TEXT, detail TEXT, CHECK ((crop IS NULL) <> (reason IS NULL))
);
"""


class Choice(StrEnum):
    """Which of several faces a photo of a data set is about."""

    CENTRAL = "central"
    LARGEST = "largest"


class CropRefusal(StrEnum):
    """Why a photo gave no crop."""

    UNREADABLE = "unreadable"
    NO_FACE = "no_face"
    FACE_TOO_SMALL = "face_too_small"


@dataclass(frozen=True, slots=True)
class AlignSettings:
    """What is cut out, and how it is stored.

    Attributes:
        choice: the face whose box is nearest to the middle of the photo, or the largest one.
        min_face_px: shorter side of the smallest face box that is cut out, px of the photo.
        jpeg_quality: 1 to 100; None stores PNG, without loss.
        workers: photos that are looked at at once; does not change the crops.
    """

    choice: Choice = Choice.CENTRAL
    min_face_px: float = 24.0
    jpeg_quality: int | None = 95
    workers: int = 1

    def __post_init__(self) -> None:
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality must be in 1..100, or None for PNG, got {self.jpeg_quality}")
        if self.min_face_px < 1 or not 1 <= self.workers <= 64:
            raise ValueError(f"expected min_face_px >= 1 and 1 to 64 workers, got {self}")


@dataclass(frozen=True, slots=True)
class Refused:
    """A photo without a crop.

    Attributes:
        name: of the record.
        subject: whose photo it was said to be; empty when the pack does not tell.
        reason: which rule refused it.
        detail: one sentence for people.
    """

    name: str
    subject: str
    reason: CropRefusal
    detail: str


def cut_face(pixels: ImageArray, found: Detections, settings: AlignSettings) -> ImageArray | tuple[str, str]:
    """The aligned crop of the face that a photo is about, or why there is none (reason, detail).

    Args:
        pixels: (H, W, 3) uint8 RGB.
        found: its faces, px.
        settings: which face; a size below the limit is a refusal, never a reason to take another face.

    Returns: (112, 112, 3) uint8 RGB on the template of ArcFace (Deng et al., CVPR 2019), or the refusal.
    """
    points = meant_face(pixels, found, settings)
    return points if isinstance(points, tuple) else align(pixels, points, ARCFACE_112).pixels


def meant_face(
    pixels: ImageArray, found: Detections, settings: AlignSettings
) -> FloatArray | tuple[str, str]:
    """The five points of the face that a photo is about, or why there is none (reason, detail).

    Args:
        pixels: (H, W, 3) uint8 RGB.
        found: its faces, px.
        settings: which face; a size below the limit is a refusal, never a reason to take another face.

    Returns: (5, 2) float32 x, y px, or the refusal.
    """
    usual = np.flatnonzero(has_usual_points(found, FaceRules()))
    faces = Detections(found.boxes[usual], found.scores[usual], found.points[usual])
    if len(faces) == 0:
        return CropRefusal.NO_FACE, "no face was found"
    sizes = [face.size_px for face in faces]
    index = int(np.argmax(sizes))
    if settings.choice is Choice.CENTRAL:
        index = central_face(faces, pixels.shape[:2]) or 0
    if sizes[index] < settings.min_face_px:
        detail = f"the face is {sizes[index]:.0f} px; at least {settings.min_face_px:g} px are asked for"
        return CropRefusal.FACE_TOO_SMALL, detail
    points: FloatArray = faces.points[index]
    return points


class AlignWork:
    """The outcomes of aligning one pack, kept in a work file until the crops are written.

    One process at a time may hold a work file. Use it as a context manager.
    """

    def __init__(self, pack: Pack, detector: Detector, settings: AlignSettings, path: Path) -> None:
        """Open the work file, or go on with the one that is there.

        Args:
            pack: the photos; the context manager does not close it.
            detector: finds faces; may be used from several threads.
            settings: which face, and how crops are stored.
            path: the work file.

        Raises:
            DataError: the file there is of other work, is in use, is damaged or cannot be written.
        """
        self.path = path
        self._pack, self._detector, self._settings = pack, detector, settings
        self._lock = FileLock(f"{path}.lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise DataError(f"{path} is in use: another process aligns into the same place") from error
        except OSError as error:
            raise self._broken(error) from error
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        with self._errors():
            self._rows = sqlite3.connect(self.path)
        try:
            self._recognise()
        except BaseException:
            self._rows.close()
            raise

    def _recognise(self) -> None:
        with self._errors():
            self._rows.executescript(_SCHEMA)
            known = self._rows.execute("SELECT task FROM work").fetchone()
            if known is None:
                with self._rows:
                    self._rows.execute("INSERT INTO work VALUES (?)", (self._task(),))
        if known is not None and known[0] != self._task():
            raise DataError(
                f"{self.path} holds unfinished work on other photos, with another detector or other settings; "
                "finish that, or delete the file to start anew"
            )

    def _task(self) -> str:
        """Digest of what decides the crops. Bytes of photos are not part of it: names stand for them."""
        pack, settings = self._pack, self._settings
        facts = f"{self._detector.name} {settings.choice} {settings.min_face_px} {settings.jpeg_quality}"
        total = hashlib.sha256(facts.encode())
        total.update(np.ascontiguousarray(pack.labels, "<i8").tobytes())
        for texts in (pack.names, pack.subjects):
            total.update("\n".join(texts).encode())
        return total.hexdigest()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def run(self, progress: Progress | None = None) -> None:
        """Look at every photo that was not looked at before.

        Args:
            progress: told after every group.

        Raises:
            DataError: the work file cannot be written; what is done stays.
        """
        done = {row[0] for row in self._query("SELECT record FROM outcomes")}
        todo = [index for index in range(len(self._pack)) if index not in done]
        group = GROUP * self._settings.workers
        with ThreadPoolExecutor(self._settings.workers) as pool:
            for start in range(0, len(todo), group):
                rows = list(pool.map(self._outcome, todo[start : start + group]))
                with self._errors(), self._rows:
                    self._rows.executemany("INSERT INTO outcomes VALUES (?, ?, ?, ?)", rows)
                if progress is not None:
                    progress(len(done) + start + len(rows), len(self._pack))

    def _outcome(self, index: int) -> tuple[int, bytes | None, str | None, str | None]:
        try:
            record = self._pack.read(index)
            pixels = decode_image(record.image, name=record.name).pixels
        except (DataError, InputError) as error:
            return index, None, CropRefusal.UNREADABLE, str(error)
        (found,) = self._detector.detect([pixels])
        crop = cut_face(pixels, found, self._settings)
        if isinstance(crop, tuple):
            return index, None, *crop
        quality = self._settings.jpeg_quality
        return index, encode_png(crop) if quality is None else encode_jpeg(crop, quality), None, None

    def subjects(self) -> list[str]:
        """Subjects with at least one crop, in the order of the pack."""
        return [self._pack.subjects[label] for label in self._kept_labels()]

    def _kept_labels(self) -> list[int]:
        kept = [row[0] for row in self._query("SELECT record FROM outcomes WHERE crop IS NOT NULL")]
        labels = np.unique(self._pack.labels[kept]) if kept else np.empty(0, np.int64)
        return [int(label) for label in labels if label >= 0]

    def records(self) -> Iterator[Record]:
        """The crops in the order of the pack, under the names of their photos; labels are those of :meth:`subjects`.

        A name keeps its suffix, whatever the format of the crop: it is the name of the sample.
        """
        number = {label: new for new, label in enumerate(self._kept_labels())}
        names, labels = self._pack.names, self._pack.labels
        query = "SELECT record, crop FROM outcomes WHERE crop IS NOT NULL ORDER BY record"
        for index, crop in self._query(query):
            yield Record(names[index], number.get(int(labels[index]), int(labels[index])), crop)

    def refusals(self) -> list[Refused]:
        """The photos without a crop, in the order of the pack."""
        query = "SELECT record, reason, detail FROM outcomes WHERE reason IS NOT NULL ORDER BY record"
        return [
            Refused(self._pack.names[index], self._subject(index), CropRefusal(reason), detail)
            for index, reason, detail in self._query(query)
        ]

    def _subject(self, index: int) -> str:
        label = int(self._pack.labels[index])
        return self._pack.subjects[label] if label >= 0 else ""

    def remove(self) -> None:
        """Delete the work file, once the crops are written."""
        self._rows.close()
        self.path.unlink(missing_ok=True)
        Path(f"{self.path}.lock").unlink(missing_ok=True)

    def _query(self, query: str) -> Iterator[tuple[Any, ...]]:
        with self._errors():
            yield from self._rows.execute(query)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say of what the file system or the file refuses what can be done.

        Raises:
            DataError: instead of it.
        """
        try:
            yield
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> DataError:
        return DataError(
            f"the work file {self.path} cannot be used: {error}; make room and run the same command again to go on, "
            "or delete the file to start anew"
        )
