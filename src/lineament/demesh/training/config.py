"""The whole configuration of a training run of a mesh remover."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lineament.engine import LoopConfig
from lineament.imaging.mesh import DEFAULT_RANGES, Family, MeshRanges


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationData:
    """What is trained on.

    Attributes:
        pack: aligned crops (112 px ArcFace), clean.
        held: pack of other people that is measured during training; None measures nothing.
        batch: pictures in a global batch, over all ranks.
        held_limit: most pictures of ``held`` that are measured.
    """

    pack: Path
    held: Path | None = None
    batch: int = 16
    held_limit: int = 256

    def __post_init__(self) -> None:
        if self.batch < 1 or self.held_limit < 1:
            raise ValueError(f"batch and held_limit must be 1 or more, got {self.batch}, {self.held_limit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshConfig:
    """How pictures are spoilt, and how the crops are laid before.

    Attributes:
        families: kinds of lines and the weight with which each is drawn; a family that is left out is unseen.
        ranges: of the lines' parameters.
        clean: share of the pictures that get no mesh, so that clean ones stay as they are.
        as_is: share of the crops that stay at 112 px; the others are turned, moved and enlarged up to ``zoom``, as
            faces are in a portrait of 178 x 220 px.
        zoom: largest enlargement.
        blur: share of the pictures that are blurred a little after the mesh.
        jpeg: share of the pictures that are compressed after the mesh.
        quality: lowest and highest JPEG quality.
    """

    families: tuple[tuple[Family, float], ...] = (("sines", 0.7), ("rosettes", 0.15), ("words", 0.15))
    ranges: MeshRanges = DEFAULT_RANGES
    clean: float = 0.15
    as_is: float = 0.5
    zoom: float = 1.5
    blur: float = 0.3
    jpeg: float = 0.8
    quality: tuple[int, int] = (30, 95)

    def __post_init__(self) -> None:
        shares = {"clean": self.clean, "as_is": self.as_is, "blur": self.blur, "jpeg": self.jpeg}
        faults = [
            f"{name} must be in [0, 1], got {value}" for name, value in shares.items() if not 0 <= value <= 1
        ]
        if not self.families or any(weight <= 0 for _, weight in self.families):
            faults.append(f"families need positive weights, got {self.families}")
        if self.zoom < 1:
            faults.append(f"zoom must be 1 or more, got {self.zoom}")
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            faults.append(f"quality must be 1 <= low <= high <= 100, got {self.quality}")
        if faults:
            raise ValueError("; ".join(faults))


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorerConfig:
    """The network.

    Attributes:
        name: key of :data:`lineament.nets.restorer.RESTORERS`.
        width: channels of the first level.
        with_mask: also predict where ink is.
        with_score: also predict whether there is a mesh.
        start: checkpoint of a run whose weights this one begins with; the score is drawn. None draws everything.
    """

    name: str = "unet"
    width: int = 24
    with_mask: bool = True
    with_score: bool = False
    start: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """What is asked of a restored picture; intensities in [0, 1].

    ``(1 + on_mesh * mask) * pixel(restored - clean) + mask * BCE + score * BCE + feature * (1 - cos)``

    Attributes:
        pixel: "squared" error, or "absolute" (smooth near zero: Charbonnier).
        on_mesh: extra weight of pixels under ink (DeMeshNet's beta).
        mask: weight of the cross-entropy of the mask (multi-task); needs a mask.
        score: weight of the cross-entropy of whether there is a mesh; needs a score.
        feature: weight of one minus the cosine between the features of the restored and the clean face, both cut
            out as the recogniser is used to (DeMeshNet); 0 leaves the recogniser out.
        feature_pictures: pictures of a rank's batch that the recogniser looks at; it costs more than the restorer.
        recogniser: embedder of the zoo that gives the features; frozen.
    """

    pixel: Literal["squared", "absolute"] = "squared"
    on_mesh: float = 0.0
    mask: float = 0.0
    score: float = 0.0
    feature: float = 0.0
    feature_pictures: int = 4
    recogniser: str = "mobilefacenet"

    def __post_init__(self) -> None:
        weights = (self.on_mesh, self.mask, self.score, self.feature)
        if min(weights) < 0:
            raise ValueError(f"weights must be 0 or more, got {weights}")
        if self.feature_pictures < 1:
            raise ValueError(f"feature_pictures must be 1 or more, got {self.feature_pictures}")
        if self.pixel not in ("squared", "absolute"):
            raise ValueError(f"pixel must be squared or absolute, got {self.pixel!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationConfig:
    """Everything that a run depends on; a recipe returns one.

    Attributes:
        name: of the model that comes out, as the zoo spells names ("demesh.own-sines").
        data: what is trained on.
        loop: steps, optimiser, precision and the like.
        mesh: how pictures are spoilt.
        restorer: the network.
        loss: what is asked.
        recipe: recipe and settings that made this, for the card.
    """

    name: str
    data: RestorationData
    loop: LoopConfig
    mesh: MeshConfig = field(default_factory=MeshConfig)
    restorer: RestorerConfig = field(default_factory=RestorerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    recipe: str = "own configuration"

    def __post_init__(self) -> None:
        if self.loss.mask and not self.restorer.with_mask:
            raise ValueError("loss.mask weighs the mask, but restorer.with_mask is off")
        if self.loss.score and not self.restorer.with_score:
            raise ValueError("loss.score weighs the score, but restorer.with_score is off")
