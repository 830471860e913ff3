"""The report of a face detector: recall, average precision and false detections, upright and turned."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.types import Detections
from lineament.evaluation.detection_sets import DetectionSet
from lineament.evaluation.jsonfile import dump_report, load_report
from lineament.evaluation.machine import Machine, this_machine
from lineament.evaluation.samples import Progress
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.verification import SystemUsed
from lineament.geometry.rotation import turn, turn_boxes
from lineament.imaging.decode import decode_image
from lineament.metrics.detection import (
    FALSE_POSITIVE,
    Matching,
    average_precision,
    match_detections,
    precision_recall,
    recall_by_size,
)

Detect = Callable[[Sequence[ImageArray]], list[Detections]]
IOU_THRESHOLDS = (0.5, 0.4)
SIZE_EDGES_PX = (24.0, 48.0)
TURNS_DEG = (0, 90, 180, 270)
_BATCH = 8


@dataclass(frozen=True, slots=True)
class SizeBucket:
    """Faces whose shorter side is in [low_px, high_px): how many there are, how many were found."""

    low_px: float
    high_px: float
    faces: int
    found: int

    @property
    def recall(self) -> float:
        """Fraction found; NaN without a face."""
        return self.found / self.faces if self.faces else float("nan")


@dataclass(frozen=True, slots=True)
class OverlapResult:
    """Rates when a detection counts from one overlap on.

    Attributes:
        iou: overlap from which on a detection is a hit.
        average_precision: area under precision over recall, all points.
        recall: fraction of the faces found by all detections that the detector returned.
        false_positives_per_image: detections that hit no face, per picture, at the same operating point.
        by_size: faces and hits by the shorter side of the face.
    """

    iou: float
    average_precision: float
    recall: float
    false_positives_per_image: float
    by_size: tuple[SizeBucket, ...]


@dataclass(frozen=True, slots=True)
class TurnResult:
    """Rates when every picture is turned before detection.

    Attributes:
        turn_deg: clockwise turn of the pictures.
        overlaps: one for each overlap.
        detect_s: time inside the detector for all pictures, s.
    """

    turn_deg: int
    overlaps: tuple[OverlapResult, ...]
    detect_s: float


@dataclass(frozen=True, slots=True)
class DetectionReport:
    """Everything that one evaluation of a detector found. Rates are fractions.

    Attributes:
        system: what was evaluated.
        dataset: name of the data.
        n_images: pictures.
        n_faces: true faces that count.
        turns: one for each turn of the pictures.
        machine: hardware and versions.
        kind: tells this report from others in a file.
    """

    system: SystemUsed
    dataset: str
    n_images: int
    n_faces: int
    turns: tuple[TurnResult, ...]
    machine: Machine
    kind: Literal["detection"] = "detection"

    def rows(self) -> list[tuple[str, ...]]:
        """One row of a table for each turn and overlap: detector, turn, IoU, AP, recall, by size, false, ms."""
        return [
            (
                self.system.name,
                f"{turned.turn_deg}°",
                f"{result.iou:g}",
                f"{result.average_precision:.4f}",
                f"{result.recall:.4f}",
                ", ".join(f"{b.low_px:g}-{b.high_px:g} px {b.found}/{b.faces}" for b in result.by_size),
                f"{result.false_positives_per_image:.3f}",
                f"{1e3 * turned.detect_s / self.n_images:.1f}",
            )
            for turned in self.turns
            for result in turned.overlaps
        ]

    def to_json(self) -> str:
        """The report as JSON."""
        return dump_report(self)

    @classmethod
    def from_json(cls, text: str) -> "DetectionReport":
        """The report that :meth:`to_json` wrote.

        Raises:
            DataError: not such a report.
        """
        return load_report(cls, text)

    def text(self) -> str:
        """The report for people: one line for each turn and overlap."""
        lines = [f"{self.system.name} on {self.dataset}: {self.n_images:,} pictures, {self.n_faces:,} faces"]
        for turned in self.turns:
            for result in turned.overlaps:
                sizes = ", ".join(
                    f"{bucket.low_px:g}-{bucket.high_px:g} px {bucket.found}/{bucket.faces}"
                    for bucket in result.by_size
                )
                lines.append(
                    f"turned {turned.turn_deg:3d} deg, IoU {result.iou:g}: AP {result.average_precision:.4f}, "
                    f"recall {result.recall:.4f} ({sizes}), "
                    f"{result.false_positives_per_image:.3f} false detections a picture"
                )
        return "\n".join(lines)


def _upright(dataset: DetectionSet, source: PictureSource) -> Iterator[list[tuple[int, ImageArray]]]:
    """Decoded pictures with their places in the set, a batch at a time."""
    for start in range(0, len(dataset.labels), _BATCH):
        labels = dataset.labels[start : start + _BATCH]
        yield [
            (start + k, decode_image(source.read(label.name), name=label.name).pixels)
            for k, label in enumerate(labels)
        ]


def _detect_turned(
    dataset: DetectionSet, detect: Detect, turn_deg: int, progress: Progress | None
) -> tuple[list[Detections], list[FloatArray], float]:
    """Detections and true boxes in the frame of the turned pictures, and the time inside the detector, s."""
    found: list[Detections] = []
    truth: list[FloatArray] = []
    detect_s = 0.0
    with PictureSource(dataset.pictures) as source:
        source.require([label.name for label in dataset.labels])
        for batch in _upright(dataset, source):
            turned = [turn(pixels, turn_deg) for _, pixels in batch]
            start_s = time.perf_counter()
            found += detect(turned)
            detect_s += time.perf_counter() - start_s
            truth += [turn_boxes(dataset.labels[i].boxes, turn_deg, pixels.shape) for i, pixels in batch]
            if progress is not None:
                progress(len(found), len(dataset.labels))
    return found, truth, detect_s


def _rates(matchings: Sequence[Matching], truth: Sequence[FloatArray], iou: float) -> OverlapResult:
    sizes = [np.minimum(b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]) for b in truth]
    counts = recall_by_size(matchings, sizes, SIZE_EDGES_PX)
    edges = (0.0, *SIZE_EDGES_PX, float("inf"))
    buckets = tuple(
        SizeBucket(low, high, faces, hits)
        for low, high, (hits, faces) in zip(edges, edges[1:], counts, strict=False)
    )
    false = sum(int((m.assigned == FALSE_POSITIVE).sum()) for m in matchings)
    return OverlapResult(
        iou=iou,
        average_precision=average_precision(precision_recall(matchings)),
        recall=sum(b.found for b in buckets) / sum(b.faces for b in buckets),
        false_positives_per_image=false / len(matchings),
        by_size=buckets,
    )


def detection_report(
    dataset: DetectionSet, detect: Detect, system: SystemUsed, progress: Progress | None = None
) -> DetectionReport:
    """Run a detector over a set at four turns of the pictures and measure it.

    Args:
        dataset: pictures and true boxes.
        detect: one :class:`Detections` for each picture given. Its score threshold is its own: recall and false
            detections are those of everything it returns, so export low scores for a full precision curve.
        system: what ``detect`` is.
        progress: told after every batch, anew for each turn.

    Raises:
        DataError: pictures are missing or unreadable.
    """
    turns = []
    for turn_deg in TURNS_DEG:
        found, truth, detect_s = _detect_turned(dataset, detect, turn_deg, progress)
        overlaps = []
        for iou in IOU_THRESHOLDS:
            matchings = [
                match_detections(d.boxes, d.scores, boxes, label.ignored, iou)
                for d, boxes, label in zip(found, truth, dataset.labels, strict=True)
            ]
            overlaps.append(_rates(matchings, truth, iou))
        turns.append(TurnResult(turn_deg, tuple(overlaps), detect_s))
    return DetectionReport(
        system=system,
        dataset=dataset.name,
        n_images=len(dataset.labels),
        n_faces=sum(int((~label.ignored).sum()) for label in dataset.labels),
        turns=tuple(turns),
        machine=this_machine(),
    )
