"""From pictures to decisions: find, turn upright, choose, align, embed, compare at a rate.

::

    Image ─ find_upright ─ choose_face ─┬ Refusal (a value; counted, never guessed around)
                                        └ align ─ embed ─ Face ─ verify at an FMR · identify at an FPIR
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lineament.core.types import (
    Comparison,
    Detections,
    Embedding,
    Face,
    Identification,
    Image,
    OperatingPoint,
    Refusal,
    RefusalReason,
    Role,
)
from lineament.detection import Detector, JointScales, Upright, find_upright, load_detector
from lineament.embedding import Embedder, load_embedder
from lineament.geometry import TEMPLATES, align
from lineament.pipeline.choose import FaceRules, central_face, check_whole, choose_face, has_usual_points
from lineament.zoo.calibration import CalibrationRecord, load_calibration
from lineament.zoo.profiles import Profile, find_profile
from lineament.zoo.session import Runtime

if TYPE_CHECKING:
    from lineament.gallery import Gallery


class FacePipeline:
    """Detector, rules, embedder and calibration that work together. Safe to use from several threads."""

    def __init__(
        self,
        detector: Detector,
        embedder: Embedder,
        rules: FaceRules | None = None,
        calibration: CalibrationRecord | None = None,
    ) -> None:
        """Put parts together; :meth:`from_profile` does it by name.

        Args:
            detector: finds faces.
            embedder: makes templates.
            rules: which faces are compared.
            calibration: thresholds of the embedder's space; looked up by space id when first needed if None.

        Raises:
            ValueError: the calibration belongs to another space.
        """
        if calibration is not None and calibration.space != embedder.space:
            raise ValueError(
                f"calibration is for space {calibration.space}, the embedder's is {embedder.space}"
            )
        self.detector = detector
        self.embedder = embedder
        self.rules = rules or FaceRules()
        self._template = TEMPLATES[embedder.template]
        self._calibration = calibration

    @classmethod
    def from_profile(cls, name: str = "open", runtime: Runtime | None = None) -> "FacePipeline":
        """The pipeline that a profile describes.

        Args:
            name: profile of the zoo.
            runtime: backend, provider and threads; the precisions are the profile's.

        Raises:
            ConfigError: no such profile.
            ModelError: weights, licence or runtime cannot be had.
        """
        return cls.from_settings(find_profile(name), runtime)

    @classmethod
    def from_settings(cls, profile: Profile, runtime: Runtime | None = None) -> "FacePipeline":
        """As :meth:`from_profile` for a profile at hand."""
        looking = replace(runtime or Runtime(), precision=profile.detector_precision)
        exact = replace(looking, precision=profile.precision)
        # compiling a network keeps one core busy, so two networks are ready sooner when they are loaded together
        with ThreadPoolExecutor(1) as pool:
            embedder = pool.submit(load_embedder, profile.embedder, exact)
            detector = load_detector(profile.detector, looking)
        return cls(
            JointScales(detector, profile.sides_px),
            embedder.result(),
            FaceRules(min_face_px=profile.min_face_px, rival_ratio=profile.rival_ratio),
        )

    @property
    def embedding_space(self) -> str:
        """Id of the space of every embedding made here."""
        return self.embedder.space

    @property
    def calibration(self) -> CalibrationRecord:
        """Thresholds of the embedding space.

        Raises:
            NotCalibrated: no record is known for it.
        """
        if self._calibration is None:
            self._calibration = load_calibration(self.embedder.space)
        return self._calibration

    def detect(self, image: Image) -> Upright:
        """All faces of a picture, turned upright by evidence where needed."""
        return find_upright(self.detector, image.pixels)

    def extract(self, image: Image) -> list[Face]:
        """Every face of a picture that is large and whole enough to compare, best score first."""
        upright = self.detect(image)
        found = upright.detections
        usual = has_usual_points(found, self.rules)
        sizes = [d.size_px for d in found]
        size = upright.pixels.shape[:2]
        keep = [
            i
            for i in range(len(found))
            if usual[i]
            and sizes[i] >= self.rules.min_face_px
            and check_whole(found, i, size, self.rules, Role.PROBE) is None
        ]
        return self._embed([(upright, i, ()) for i in keep])

    def extract_one(self, image: Image, role: Role = Role.PROBE) -> Face | Refusal:
        """The face that a picture is about, or why there is none.

        Args:
            image: an upright picture, or one in any quarter turn.
            role: reference or probe.
        """
        return self.extract_many([image], role)[0]

    def extract_many(self, images: Sequence[Image], role: Role = Role.PROBE) -> list[Face | Refusal]:
        """As :meth:`extract_one` for several pictures; their crops are embedded together."""
        chosen: list[tuple[Upright, int, tuple[str, ...]] | Refusal] = []
        for image in images:
            upright = self.detect(image)
            choice = choose_face(upright.detections, upright.pixels.shape[:2], self.rules, role)
            if isinstance(choice, Refusal):
                chosen.append(replace(choice, rotation_deg=upright.rotation_deg))
            else:
                chosen.append((upright, *choice))
        return self._embed_chosen(chosen)

    def extract_central(self, images: Sequence[Image]) -> list[Face | Refusal]:
        """The face nearest to the centre of each picture: for data sets whose protocol puts the subject there.

        Pictures are taken as they are: no turn is looked for and no face is too small.
        """
        chosen: list[tuple[Upright, int, tuple[str, ...]] | Refusal] = []
        for image, found in zip(images, self.detector.detect([i.pixels for i in images]), strict=True):
            index = central_face(found, image.pixels.shape[:2])
            if index is None:
                chosen.append(Refusal(RefusalReason.NO_FACE, "no face was found", Detections.none()))
            else:
                chosen.append((Upright(0, found, image.pixels), index, ()))
        return self._embed_chosen(chosen)

    def operating_point(self, fmr: float) -> OperatingPoint:
        """Threshold for a false match rate (1:1).

        Raises:
            NotCalibrated: no record, or one whose counts cannot support the rate; says what would be needed.
        """
        return self.calibration.point(fmr)

    def verify(self, reference: Image, probe: Image, fmr: float) -> Comparison | Refusal:
        """Are these the same person?

        Args:
            reference: picture of the claimed subject (a document, an enrollment photo).
            probe: the new picture.
            fmr: the false match rate that is acceptable, a fraction.

        Raises:
            NotCalibrated: the rate cannot be supported; found before any work is done.
        """
        point = self.operating_point(fmr)
        first = self.extract_one(reference, Role.REFERENCE)
        if isinstance(first, Refusal):
            return first
        second = self.extract_one(probe, Role.PROBE)
        if isinstance(second, Refusal):
            return second
        return compare(first, second, point)

    def identify(
        self, gallery: "Gallery", probe: Image, fpir: float, max_candidates: int = 5
    ) -> Identification | Refusal:
        """Who is this?

        Args:
            gallery: references of the same embedding space.
            probe: a picture of one person.
            fpir: acceptable rate of naming somebody for a person who is not enrolled, a fraction; the threshold
                rises with the number of templates in the gallery and of the people that they belong to.
            max_candidates: longest candidate list.

        Raises:
            NotCalibrated: the rate cannot be supported for a gallery of this size.
            EmbeddingSpaceMismatch: the gallery holds templates of another space.
        """
        size = gallery.size
        point = self.calibration.point_for_fpir(fpir, max(1, size.samples), max(1, size.subjects))
        face = self.extract_one(probe, Role.PROBE)
        if isinstance(face, Refusal):
            return face
        return gallery.identify(face.embedding, point=point, fpir=fpir, max_candidates=max_candidates)

    def _embed_chosen(
        self, chosen: Sequence[tuple[Upright, int, tuple[str, ...]] | Refusal]
    ) -> list[Face | Refusal]:
        faces = iter(self._embed([c for c in chosen if not isinstance(c, Refusal)]))
        return [c if isinstance(c, Refusal) else next(faces) for c in chosen]

    def _embed(self, chosen: Sequence[tuple[Upright, int, tuple[str, ...]]]) -> list[Face]:
        """Faces for (upright picture, index of the face, notes); one batch through the network."""
        size = self._template.size_px
        crops = np.empty((len(chosen), size, size, 3), np.uint8)
        for crop, (upright, index, _) in zip(crops, chosen, strict=True):
            crop[...] = align(upright.pixels, upright.detections.points[index], self._template).pixels
        vectors = self.embedder.embed(crops)
        return [
            Face(up.detections[i], Embedding(vector, self.embedder.space), crop, up.rotation_deg, notes)
            for (up, i, notes), vector, crop in zip(chosen, vectors, crops, strict=True)
        ]


def compare(reference: Face, probe: Face, point: OperatingPoint) -> Comparison:
    """Compare two faces of one embedding space at an operating point.

    Raises:
        ValueError: the faces come from different spaces, or the point belongs to another space.
    """
    if reference.embedding.space != probe.embedding.space:
        raise ValueError(
            f"faces of spaces {reference.embedding.space} and {probe.embedding.space} do not compare"
        )
    if point.space and point.space != reference.embedding.space:
        raise ValueError(
            f"the threshold of record {point.record} is for space {point.space}, the faces are of "
            f"{reference.embedding.space}"
        )
    similarity = float(np.clip(reference.embedding.vector @ probe.embedding.vector, -1.0, 1.0))
    return Comparison(similarity, point, reference, probe)
