"""The values that travel through the system, from a picture to a decision.

All are frozen and checked when made. Frames and units: pixels are (H, W, 3) uint8 RGB; boxes are ``xyxy``
in px with the origin at the centre of the top-left pixel and y down; left and right are the image's sides.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from lineament.core.arrays import FloatArray, ImageArray, check_floats, check_image, frozen
from lineament.core.errors import BadArray

POINT_NAMES = ("eye_image_left", "eye_image_right", "nose", "mouth_image_left", "mouth_image_right")
"""Order of the five points of a :class:`Detection`."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An upright picture.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, read-only.
        notes: what decoding had to do, in words ("EXIF orientation 6 applied", "frame 1 of 12 used").
        oriented: True when metadata told which way is up, so that nothing is left to guess.
        sha256: hex digest of the encoded bytes; empty for pictures made from arrays.
    """

    pixels: ImageArray
    notes: tuple[str, ...] = ()
    oriented: bool = False
    sha256: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", frozen(check_image(self.pixels)))

    @property
    def height(self) -> int:
        """Rows, px."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns, px."""
        return int(self.pixels.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One face found in a picture.

    Attributes:
        box: (4,) float32 xyxy, px.
        score: detector score in [0, 1].
        points: (5, 2) float32 x, y px in the order of :data:`POINT_NAMES`; a point that the detector does not
            give is NaN.
    """

    box: FloatArray
    score: float
    points: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", frozen(check_floats(self.box, (4,), "box")))
        object.__setattr__(self, "points", frozen(check_floats(self.points, (5, 2), "points")))
        if not 0.0 <= self.score <= 1.0:
            raise BadArray(f"score must be in [0, 1], got {self.score}")

    @property
    def size_px(self) -> float:
        """Shorter side of the box, px."""
        return float(min(self.box[2] - self.box[0], self.box[3] - self.box[1]))


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """All faces of one picture as arrays, best score first.

    Attributes:
        boxes: (N, 4) float32 xyxy, px.
        scores: (N,) float32 in [0, 1], not increasing.
        points: (N, 5, 2) float32 x, y px; NaN for a point that the detector does not give.
    """

    boxes: FloatArray
    scores: FloatArray
    points: FloatArray

    def __post_init__(self) -> None:
        count = len(self.scores)
        object.__setattr__(self, "boxes", frozen(check_floats(self.boxes, (count, 4), "boxes")))
        object.__setattr__(self, "scores", frozen(check_floats(self.scores, (count,), "scores")))
        object.__setattr__(self, "points", frozen(check_floats(self.points, (count, 5, 2), "points")))
        if count and (self.scores[-1] < 0 or self.scores[0] > 1 or np.any(np.diff(self.scores) > 0)):
            raise BadArray("scores must be in [0, 1] and not increase")

    @classmethod
    def none(cls) -> "Detections":
        """No face."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int) -> Detection:
        return Detection(self.boxes[index], float(self.scores[index]), self.points[index])

    def __iter__(self) -> Iterator[Detection]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Dense points of one face.

    Attributes:
        points: (K, 2) float32 x, y px of the picture.
        scheme: name of the point order, "mediapipe-468" for example.
        presence: score in [0, 1] that a face is there at all.
    """

    points: FloatArray
    scheme: str
    presence: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", frozen(check_floats(self.points, (None, 2), "points")))


class Role(StrEnum):
    """What a picture is used for; gates depend on it."""

    REFERENCE = "reference"
    PROBE = "probe"


class RefusalReason(StrEnum):
    """Why a picture gave no face that can be compared."""

    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    FACE_TOO_SMALL = "face_too_small"
    FACE_CUT_OFF = "face_cut_off"


@dataclass(frozen=True, slots=True, eq=False)
class Refusal:
    """An expected outcome: no comparison is possible, and why.

    Attributes:
        reason: the rule that refused.
        detail: one sentence for people: what was found, what is needed.
        detections: what the detector saw, in px of the upright picture.
        role: the role of the refused picture.
        rotation_deg: clockwise turn (0, 90, 180, 270) applied to make the picture upright by evidence.
    """

    reason: RefusalReason
    detail: str
    detections: Detections = field(default_factory=Detections.none)
    role: Role = Role.PROBE
    rotation_deg: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A template of one sample.

    Attributes:
        vector: (D,) float32 of unit length.
        space: id of the embedding space; only embeddings of equal space compare.
    """

    vector: FloatArray
    space: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "vector", frozen(check_floats(self.vector, (None,), "vector")))
        norm = float(np.linalg.norm(self.vector))
        if not abs(norm - 1.0) < 1e-3:
            raise BadArray(f"an embedding must have unit length, got norm {norm:.4f}")

    def similarity(self, other: "Embedding") -> float:
        """Cosine in [-1, 1] with a template of the same space."""
        return float(np.clip(self.vector @ other.vector, -1.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """That a mesh was taken off a picture before its face was embedded.

    Attributes:
        remover: id of what took it off; thresholds measured on restored references belong to one remover.
        mesh_score: how sure the mesh was, in [0, 1].
        unrestored: template of the picture as it was; None when it gave no face that can be compared.
    """

    remover: str
    mesh_score: float
    unrestored: Embedding | None


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face with its template, ready to compare or enroll.

    Attributes:
        detection: where it was found, px of the upright picture.
        embedding: its template.
        crop: (S, S, 3) uint8 RGB, the aligned picture that was embedded.
        rotation_deg: clockwise turn (0, 90, 180, 270) applied to make the picture upright by evidence.
        notes: what a person should know ("2 smaller faces ignored").
        restored: what was done to the picture first; None for a picture as it was.
    """

    detection: Detection
    embedding: Embedding
    crop: ImageArray
    rotation_deg: int = 0
    notes: tuple[str, ...] = ()
    restored: Restored | None = None

    @property
    def calibration_space(self) -> str:
        """Id under which comparisons with this face as reference are calibrated: ``space``, or ``space~remover``."""
        return self.embedding.space + (f"~{self.restored.remover}" if self.restored else "")


@dataclass(frozen=True, slots=True)
class RatioLine:
    """From similarities to log-likelihood ratios, kept within what the evidence supports.

    Attributes:
        slope: natural-logarithm units for each unit of similarity, above 0.
        offset: ratio of similarity 0.
        low: smallest ratio that is given out, at most 0.
        high: largest ratio that is given out, at least 0.
    """

    slope: float
    offset: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (self.slope > 0 and self.low <= 0 <= self.high):
            raise ValueError(f"a ratio must rise with the similarity and its limits hold 0, got {self}")

    def __call__(self, similarity: float) -> float:
        """Natural log-likelihood ratio ln P(similarity | same subject) / P(similarity | different subjects)."""
        return min(max(self.slope * similarity + self.offset, self.low), self.high)


class Decision(StrEnum):
    """What a similarity says at an operating point."""

    MATCH = "match"
    NO_MATCH = "no_match"
    UNDECIDED = "undecided"
    """Within the 95 % interval of the threshold: other data of the same kind could have put it on either side."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold with the evidence behind it.

    Attributes:
        fmr: the false match rate that was asked for, a fraction.
        threshold: similarity that keeps the rate in the calibration data.
        low: lower end of the 95 % interval of the threshold.
        high: upper end of the 95 % interval of the threshold; similarities from here on match.
        n_nonmated: non-mated comparisons behind it.
        record: name of the calibration record.
        space: id of the embedding space that the threshold belongs to; empty for one that was not measured.
        ratio: log-likelihood ratios of the same record; None for a threshold that was not measured.
    """

    fmr: float
    threshold: float
    low: float
    high: float
    n_nonmated: int
    record: str
    space: str = ""
    ratio: RatioLine | None = None

    def decide(self, similarity: float) -> Decision:
        """A match at or above the interval of the threshold, no match below it, undecided within.

        Args:
            similarity: cosine in [-1, 1].
        """
        if similarity >= max(self.threshold, self.high):
            return Decision.MATCH
        if similarity < min(self.threshold, self.low):
            return Decision.NO_MATCH
        return Decision.UNDECIDED


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Result of a 1:1 verification.

    Attributes:
        similarity: cosine in [-1, 1]; higher is more alike.
        point: the operating point of the asked rate.
        reference: face of the reference picture.
        probe: face of the probe picture.
    """

    similarity: float
    point: OperatingPoint
    reference: Face
    probe: Face

    @property
    def decision(self) -> Decision:
        """Match, no match, or undecided where the evidence about the threshold does not allow an answer."""
        return self.point.decide(self.similarity)

    @property
    def is_match(self) -> bool:
        """True when the decision is a match."""
        return self.decision is Decision.MATCH

    @property
    def unrestored_similarity(self) -> float | None:
        """Cosine with the reference as it was before a mesh was taken off; None without both.

        It decides nothing.
        """
        restored = self.reference.restored
        if restored is None or restored.unrestored is None:
            return None
        return restored.unrestored.similarity(self.probe.embedding)

    @property
    def threshold(self) -> float:
        """Similarity that keeps the rate in the calibration data."""
        return self.point.threshold

    @property
    def fmr(self) -> float:
        """The false match rate that was asked for, a fraction."""
        return self.point.fmr

    @property
    def llr(self) -> float | None:
        """Natural log-likelihood ratio of the similarity; None when the point comes without one."""
        return None if self.point.ratio is None else self.point.ratio(self.similarity)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry of a candidate list: the subject and its best sample's similarity."""

    rank: int
    subject_id: str
    similarity: float
    sample_id: str


@dataclass(frozen=True, slots=True)
class Identification:
    """Result of a 1:N search.

    Attributes:
        candidates: subjects that match, best first.
        undecided: subjects whose similarity lies within the interval of the threshold, best first.
        nearest: best subject whatever the threshold; None for an empty gallery.
        fpir: the false positive identification rate that was asked for, a fraction.
        gallery_size: templates that were searched.
        point: threshold and evidence; its ``fmr`` is the per-comparison rate that ``fpir`` needs.
    """

    candidates: tuple[Candidate, ...]
    undecided: tuple[Candidate, ...]
    nearest: Candidate | None
    fpir: float
    gallery_size: int
    point: OperatingPoint

    @property
    def best(self) -> Candidate | None:
        """The best candidate that matches, if any."""
        return self.candidates[0] if self.candidates else None

    @property
    def decision(self) -> Decision:
        """A match when somebody matches, undecided when somebody might, else no match."""
        if self.candidates:
            return Decision.MATCH
        return Decision.UNDECIDED if self.undecided else Decision.NO_MATCH
