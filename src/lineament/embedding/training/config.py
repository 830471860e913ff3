"""The whole configuration of a training run of an embedder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lineament.embedding.training.augment import Augmentation
from lineament.engine import LoopConfig
from lineament.geometry import TEMPLATES
from lineament.zoo.manifest import InputSpec

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputConfig:
    """What the network eats, in training and afterwards: the export carries the very same numbers.

    Attributes:
        height_px: height of the crop, and size of the square template that it is cut from.
        width_px: width; narrower than the height means the middle columns of the square.
        mean: subtracted from each of red, green and blue, in [0, 255].
        std: divided by.
    """

    height_px: int = 112
    width_px: int = 112
    mean: Triple = (127.5, 127.5, 127.5)
    std: Triple = (127.5, 127.5, 127.5)

    def __post_init__(self) -> None:
        if self.template not in TEMPLATES:
            known = ", ".join(name for name in TEMPLATES if name.startswith("arcface"))
            raise ValueError(f"height_px: no crop template {self.template}; there are {known}")
        if not 0 < self.width_px <= self.height_px:
            raise ValueError(f"width_px must be in 1..{self.height_px} (the height), got {self.width_px}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std}")

    @property
    def template(self) -> str:
        """Name of the square crop template."""
        return f"arcface-{self.height_px}"

    @property
    def columns(self) -> slice:
        """Columns of the square crop that the network sees."""
        first = (self.height_px - self.width_px) // 2
        return slice(first, first + self.width_px)

    @property
    def spec(self) -> InputSpec:
        """The input as a manifest says it: the square crop."""
        side = self.height_px
        return InputSpec(
            colour="RGB", shape=("batch", 3, side, side), mean=self.mean, std=self.std, template=self.template
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What is trained on.

    Attributes:
        pack: training pack of aligned crops (112 px ArcFace), with subjects unless it is trained without labels.
        held: pack of other people that is measured during training; None measures nothing.
        batch: pictures in a global batch, over all ranks.
        subjects: subjects in a batch, each with ``batch / subjects`` pictures; 0 shuffles all pictures instead.
        in_memory: keep decoded crops (height x height x 3 bytes each) instead of decoding them in every epoch.
        held_limit: most pictures of ``held`` that are measured, the first of a seeded order of subjects; those of
            unknown subject are left out.
    """

    pack: Path
    held: Path | None = None
    batch: int = 64
    subjects: int = 0
    in_memory: bool = True
    held_limit: int = 2_000

    def __post_init__(self) -> None:
        if self.batch < 1 or self.held_limit < 1:
            raise ValueError(f"batch and held_limit must be 1 or more, got {self.batch}, {self.held_limit}")
        if self.subjects and self.batch % self.subjects:
            raise ValueError(
                f"batch must be a multiple of subjects, got {self.batch} pictures of {self.subjects} subjects"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneConfig:
    """The network.

    Attributes:
        name: key of :data:`lineament.nets.BACKBONES`; empty takes the architecture of ``start``.
        embedding: length of the feature vector.
    """

    name: str
    embedding: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadConfig:
    """From features to a loss.

    Attributes:
        name: key of :data:`lineament.embedding.training.heads.HEADS`; empty trains without labels (distillation).
        settings: of that head.
        weight: factor of its loss.
    """

    name: str
    settings: Mapping[str, float | int | str] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StartConfig:
    """Where the weights of the backbone come from when they are not drawn.

    Attributes:
        model: embedder of the zoo whose graph is trained further; empty for none.
        checkpoint: folder of a checkpoint (RUN/checkpoints/step-...) of the same backbone; None for none.
        frozen: fraction of the backbone's layers, from the input on, that stay as they are.
    """

    model: str = ""
    checkpoint: Path | None = None
    frozen: float = 0.0

    def __post_init__(self) -> None:
        if self.model and self.checkpoint is not None:
            raise ValueError("start from a model of the zoo or from a checkpoint, not from both")
        if not 0 <= self.frozen < 1:
            raise ValueError(f"frozen must be a fraction in [0, 1), got {self.frozen}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationConfig:
    """Keeps features where a teacher has them, and brings those of degraded crops there too.

    The loss is ``clean * (1 - cos(student(crop), teacher(crop))) + degraded * (1 - cos(student(changed crop),
    teacher(crop)))``, means over the batch: what the start does with clean crops stays, so old and new templates
    remain alike, and a crop under blur, low resolution or cover is pulled to its own clean template.

    Attributes:
        clean: weight of the first term; 0 saves its pass, and leaves keeping clean templates to the crops that the
            augmentation happens to leave alone.
        degraded: weight of the second.
    """

    clean: float = 1.0
    degraded: float = 1.0

    def __post_init__(self) -> None:
        if self.clean < 0 or self.degraded <= 0:
            raise ValueError(
                f"clean must be 0 or more and degraded positive, got {self.clean}, {self.degraded}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersConfig:
    """What only the trainer of a model knows, for its card and manifest.

    Attributes:
        publisher: who trains it.
        code_licence: of the training code.
        weights_licence: under which the weights may be used.
        data_licence: terms of the training pictures.
        commercial_use: whether all of these allow it.
        limits: what the model must not be used for, or was not measured on.
    """

    publisher: str = "not named"
    code_licence: str = "Apache-2.0"
    weights_licence: str = "not decided by its trainer"
    data_licence: str = "not stated by its trainer"
    commercial_use: bool = False
    limits: tuple[str, ...] = (
        "Measured on the held people of its training at most; calibrate it before use.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingConfig:
    """Everything that a run depends on; a recipe returns one.

    Attributes:
        name: of the model that comes out, as the zoo spells names ("mobilefacenet.own-arcface").
        data: what is trained on.
        backbone: the network.
        head: from features to a loss.
        loop: steps, optimiser, precision and the like.
        crop: size and normalisation of the input.
        augmentation: changes of the training crops.
        start: weights to begin with.
        distillation: None, or how the start teaches; needs one.
        answers: what the card and the manifest of the exported model say.
        recipe: recipe and settings that made this, for the card.
    """

    name: str
    data: DataConfig
    backbone: BackboneConfig
    head: HeadConfig
    loop: LoopConfig
    crop: InputConfig = field(default_factory=InputConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    start: StartConfig = field(default_factory=StartConfig)
    distillation: DistillationConfig | None = None
    answers: AnswersConfig = field(default_factory=AnswersConfig)
    recipe: str = "own configuration"

    def __post_init__(self) -> None:
        if self.distillation is not None and not self.start.model:
            raise ValueError("distillation needs a teacher: set start.model to an embedder of the zoo")
        if not self.head.name and self.distillation is None:
            raise ValueError("nothing to learn: set head.name, or distillation")
        if not self.backbone.name and not self.start.model:
            raise ValueError("no network: set backbone.name, or start.model")
