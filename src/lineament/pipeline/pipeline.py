"""From pictures to decisions: find, turn upright, choose, align, embed, compare at a rate.

::

    Image ─ find_upright ─ choose_face ─┬ Refusal (a value; counted, never guessed around)
                                        └ align ─ embed ─ Face ─ verify at an FMR · identify at an FPIR

With a mesh gate, the reference of a verification is looked at first; where a mesh is found it is taken off, and what
comes after starts from the restored pixels. Probes and enrollments are taken as they are.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lineament.core.errors import NotCalibrated
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
    Restored,
    Role,
)
from lineament.demesh import MeshGate, load_mesh_gate
from lineament.detection import Detector, JointScales, Upright, find_upright, load_detector
from lineament.embedding import Embedder, load_embedder
from lineament.geometry import TEMPLATES, align
from lineament.pipeline.choose import FaceRules, central_face, check_whole, choose_face, has_usual_points
from lineament.zoo.calibration import CalibrationRecord, load_calibration
from lineament.zoo.profiles import Profile, find_profile
from lineament.zoo.records import user_calibration_folder
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
        mesh: MeshGate | None = None,
        restored_calibration: CalibrationRecord | None = None,
    ) -> None:
        """Put parts together; :meth:`from_profile` does it by name.

        Args:
            detector: finds faces.
            embedder: makes templates.
            rules: which faces are compared.
            calibration: thresholds of the embedder's space; looked up by space id when first needed if None.
            mesh: which references are restored before they are verified; None leaves all as they are.
            restored_calibration: thresholds for restored references; looked up when first needed if None.

        Raises:
            ValueError: a calibration belongs to another space.
        """
        _check_space(calibration, embedder.space)
        _check_space(
            restored_calibration, f"{embedder.space}~{mesh.id}" if mesh else "no restored references"
        )
        self.detector = detector
        self.embedder = embedder
        self.rules = rules or FaceRules()
        self._template = TEMPLATES[embedder.template]
        self.mesh = mesh
        self._calibration = calibration
        self._restored_calibration = restored_calibration

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
            wanted, plain = profile.mesh_remover, replace(looking, precision="f32")
            mesh = load_mesh_gate(wanted, profile.clean_touched_rate, plain) if wanted else None
        return cls(
            JointScales(detector, profile.sides_px),
            embedder.result(),
            FaceRules(min_face_px=profile.min_face_px, rival_ratio=profile.rival_ratio),
            mesh=mesh,
        )

    @property
    def embedding_space(self) -> str:
        """Id of the space of every embedding made here."""
        return self.embedder.space

    @property
    def model_names(self) -> tuple[str, ...]:
        """Names of the models that results are made with."""
        mesh = (self.mesh.remover.name,) if self.mesh else ()
        return (self.detector.name, self.embedder.name, *mesh)

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
        return self.faces_of(self.detect(image))

    def faces_of(self, upright: Upright, max_faces: int | None = None) -> list[Face]:
        """As :meth:`extract` for a picture whose faces were found.

        Args:
            upright: what :meth:`detect` gave.
            max_faces: faces that are embedded, best scores first; None for all.
        """
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
        return self._embed([(upright, i, ()) for i in keep[:max_faces]])

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

    def extract_reference(self, image: Image) -> Face | Refusal:
        """The face of a reference that is verified: as :meth:`extract_one`, with a mesh taken off where one is found.

        The rules judge the restored pixels. The template of the picture as it was is kept beside
        (:class:`lineament.core.types.Restored`).
        """
        if self.mesh is None:
            return self.extract_one(image, Role.REFERENCE)
        made = self.mesh.restore(image.pixels)
        if not self.mesh.is_meshed(made.finding):
            return self.extract_one(image, Role.REFERENCE)
        plain, face = self.extract_many([image, replace(image, pixels=made.pixels)], Role.REFERENCE)
        if isinstance(face, Refusal):
            return face
        unrestored = plain.embedding if isinstance(plain, Face) else None
        return replace(face, restored=Restored(self.mesh.id, made.finding.score, unrestored))

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

    def point_for(self, reference: Face, fmr: float) -> OperatingPoint:
        """Threshold for a false match rate with this reference: restored ones have a calibration of their own.

        Raises:
            NotCalibrated: no record for the reference as it is, or one that cannot support the rate.
        """
        if reference.restored is None:
            return self.operating_point(fmr)
        if self._restored_calibration is None:
            try:
                self._restored_calibration = load_calibration(reference.calibration_space)
            except NotCalibrated as error:
                raise NotCalibrated(
                    f"a mesh was taken off the reference (score {reference.restored.mesh_score:.2f}), and there is no "
                    f"calibration record for restored references, {reference.calibration_space}; put one into "
                    f"{user_calibration_folder()}, or decide about the picture as it is with a profile that takes no "
                    "mesh off"
                ) from error
        return self._restored_calibration.point(fmr)

    def verify(self, reference: Image, probe: Image, fmr: float) -> Comparison | Refusal:
        """Are these the same person?

        Args:
            reference: picture of the claimed subject (a document, an enrollment photo).
            probe: the new picture.
            fmr: the false match rate that is acceptable, a fraction.

        Raises:
            NotCalibrated: the rate cannot be supported; found before any work is done, and for restored references
                when a mesh was found.
        """
        self.operating_point(fmr)
        first = self.extract_reference(reference)
        if isinstance(first, Refusal):
            return first
        point = self.point_for(first, fmr)
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


def _check_space(calibration: CalibrationRecord | None, space: str) -> None:
    if calibration is not None and calibration.space != space:
        raise ValueError(f"calibration is for space {calibration.space}, the embedder's is {space}")


def compare(reference: Face, probe: Face, point: OperatingPoint) -> Comparison:
    """Compare two faces of one embedding space at an operating point.

    Args:
        reference: of the claimed subject, as it was or restored.
        probe: the new face, never restored.
        point: of the reference's calibration space.

    Raises:
        ValueError: the faces come from different spaces, the point belongs to another space, or the probe was
            restored.
    """
    if probe.restored is not None:
        raise ValueError("meshes are taken off references only, this probe was restored")
    if reference.embedding.space != probe.embedding.space:
        raise ValueError(
            f"faces of spaces {reference.embedding.space} and {probe.embedding.space} do not compare"
        )
    if point.space and point.space != reference.calibration_space:
        raise ValueError(
            f"the threshold of record {point.record} is for space {point.space}, the faces are of "
            f"{reference.calibration_space}"
        )
    similarity = reference.embedding.similarity(probe.embedding)
    return Comparison(similarity, point, reference, probe)
