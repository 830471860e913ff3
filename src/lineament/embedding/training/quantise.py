"""An exported embedder in int8, with what that costs."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ImageArray, check_crops
from lineament.core.errors import ManifestError
from lineament.embedding.onnx import OnnxEmbedder
from lineament.embedding.training.export import golden_pictures
from lineament.embedding.training.to_onnx import INPUT, OUTPUT
from lineament.metrics import tar_at_far_protocol
from lineament.zoo.exporting import GOLDEN_FILE, MODEL_FILE, opened, packed, runtimes, whole_folder
from lineament.zoo.files import write_atomic
from lineament.zoo.loading import LoadedModel
from lineament.zoo.manifest import Golden, Manifest, Metric, Weight, manifest_text, parse_manifest
from lineament.zoo.quantise import quantise
from lineament.zoo.session import Runtime
from lineament.zoo.tensor import to_tensor
from lineament.zoo.user import CARD_FILE, MANIFEST_FILE

BATCH = 16
GOLDEN_SHARE = 0.2
"""How far int8 outputs may be off elsewhere, of the largest one: processors and runtimes round differently."""


@dataclass(frozen=True, slots=True, eq=False)
class CheckPairs:
    """Comparisons on which the cost of int8 is measured.

    Attributes:
        left: (P, S, S, 3) uint8 RGB aligned crops.
        right: (P, S, S, 3) uint8 RGB, what they are compared with.
        mated: (P,) bool, True for two crops of one subject.
        far: false accept rate at which TAR is compared, a fraction that the non-mated pairs can show.
        source: what pairs they are, for the card.
    """

    left: ImageArray
    right: ImageArray
    mated: NDArray[np.bool_]
    far: float
    source: str

    def __post_init__(self) -> None:
        side = self.left.shape[1] if self.left.ndim == 4 else 0
        check_crops(self.left, side, "left")
        check_crops(self.right, side, "right")
        if (
            not len(self.left) == len(self.right) == len(self.mated)
            or self.mated.all()
            or not self.mated.any()
        ):
            raise ValueError(
                f"expected as many left as right crops and answers, with both mated and non-mated pairs, got "
                f"{len(self.left)}, {len(self.right)} and {len(self.mated)} with {int(self.mated.sum())} mated"
            )


@dataclass(frozen=True, slots=True)
class Int8Cost:
    """What int8 changes, in one runtime.

    Attributes:
        runtime: what ran it.
        mean_cosine: of a crop's int8 and f32 vectors.
        min_cosine: smallest of them.
        tar: true accept rate in int8, at its own threshold.
        tar_f32: the same in f32.
        lost: mated pairs that only f32 accepts.
        gained: mated pairs that only int8 accepts.
    """

    runtime: str
    mean_cosine: float
    min_cosine: float
    tar: float
    tar_f32: float
    lost: int
    gained: int


@dataclass(frozen=True, slots=True)
class QuantisedModel:
    """A finished int8 model.

    Attributes:
        folder: what ``lineament models add`` takes.
        manifest: as written.
        costs: one for each runtime of this machine.
    """

    folder: Path
    manifest: Manifest
    costs: tuple[Int8Cost, ...]


def quantise_export(exported: Path, out: Path, calibration: ImageArray, pairs: CheckPairs) -> QuantisedModel:
    """Write the int8 version of an exported embedder beside it, called ``NAME-int8``, and state its cost.

    It is a model and an embedding space of its own: templates of the two are never compared. Nothing is refused for
    a high cost; manifest and card tell it.

    Args:
        exported: folder that :func:`lineament.embedding.training.export.export_embedder` wrote.
        out: folder to write; it appears whole or not at all. An earlier export there is replaced.
        calibration: (N, S, S, 3) uint8 RGB aligned crops like those of use; never those of ``pairs``.
        pairs: comparisons for the cost.

    Raises:
        ManifestError: no exported model in the folder.
        ConfigError: ``out`` holds something else, or cannot be written.
        ValueError: no calibration crops, or of another size.
    """
    source, data, card = _read(exported)
    side = int(source.input.shape[-1])
    check_crops(calibration, side, "calibration")
    check_crops(pairs.left, side, "left")
    if not len(calibration):
        raise ValueError("expected crops to calibrate on, got none")
    made = quantise(
        data,
        (
            {INPUT: to_tensor(calibration[i : i + BATCH], source.input)}
            for i in range(0, len(calibration), BATCH)
        ),
    )
    draft = source.model_copy(
        update={
            "name": f"{source.name}-int8",
            "summary": f"{source.summary.rstrip('.')}; int8.",
            "weights": (Weight(file=MODEL_FILE, sha256=hashlib.sha256(made).hexdigest(), bytes=len(made)),),
        }
    )
    golden = _golden(draft, made, side)
    costs = _costs((source, data), (draft, made), pairs)
    manifest = draft.model_copy(update={"golden": golden[1], "metric": tuple(_metrics(costs, pairs))})
    with whole_folder(out) as folder:
        write_atomic(folder / MODEL_FILE, made)
        write_atomic(folder / GOLDEN_FILE, golden[0])
        write_atomic(folder / CARD_FILE, _card(card, source, manifest, costs, pairs).encode())
        write_atomic(folder / MANIFEST_FILE, manifest_text(manifest).encode())
    return QuantisedModel(out, manifest, costs)


def _read(exported: Path) -> tuple[Manifest, bytes, str]:
    try:
        manifest = parse_manifest(
            (exported / MANIFEST_FILE).read_text(encoding="utf-8"), str(exported / MANIFEST_FILE)
        )
        return (
            manifest,
            (exported / MODEL_FILE).read_bytes(),
            (exported / CARD_FILE).read_text(encoding="utf-8"),
        )
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"expected an exported model in {exported}: {error}; export it again") from error


def _golden(manifest: Manifest, data: bytes, side: int) -> tuple[bytes, Golden]:
    """What ONNX Runtime on this machine gives for the drawn pictures; features, not unit vectors."""
    tensor = np.ascontiguousarray(to_tensor(golden_pictures(side), manifest.input))
    with opened(data, Runtime("onnxruntime")) as session:
        features = session.run({INPUT: tensor})[OUTPUT]
    stored = packed({f"model/in/{INPUT}": tensor, f"model/out/{OUTPUT}": features})
    atol = GOLDEN_SHARE * float(np.abs(features).max())
    return stored, Golden(file=GOLDEN_FILE, sha256=hashlib.sha256(stored).hexdigest(), rtol=0.0, atol=atol)


def _costs(
    f32: tuple[Manifest, bytes], int8: tuple[Manifest, bytes], pairs: CheckPairs
) -> tuple[Int8Cost, ...]:
    def vectors(model: tuple[Manifest, bytes], runtime: Runtime) -> tuple[FloatArray, FloatArray]:
        with opened(model[1], runtime) as session:
            embedder = OnnxEmbedder(LoadedModel(model[0], {"model": session}))
            return embedder.embed(pairs.left), embedder.embed(pairs.right)

    exact = vectors(f32, Runtime("onnxruntime"))
    tar_f32, accepted_f32 = _accepted(exact, pairs)
    costs = []
    for runtime in (r for r in runtimes() if r.precision == "f32"):
        found = vectors(int8, runtime)
        cosines = np.concatenate([(a * b).sum(1) for a, b in zip(found, exact, strict=True)])
        tar, accepted = _accepted(found, pairs)
        lost, gained = int((accepted_f32 & ~accepted).sum()), int((accepted & ~accepted_f32).sum())
        costs.append(
            Int8Cost(runtime.backend, float(cosines.mean()), float(cosines.min()), tar, tar_f32, lost, gained)
        )
    return tuple(costs)


def _accepted(vectors: tuple[FloatArray, FloatArray], pairs: CheckPairs) -> tuple[float, NDArray[np.bool_]]:
    """TAR at the threshold of these vectors, and which mated pairs they accept."""
    similarities = (vectors[0].astype(np.float64) * vectors[1]).sum(1)
    mated, others = similarities[pairs.mated], similarities[~pairs.mated]
    point = tar_at_far_protocol(mated, others, pairs.far)
    return 1.0 - point.fnmr, mated >= point.threshold


def _metrics(costs: tuple[Int8Cost, ...], pairs: CheckPairs) -> list[Metric]:
    return [
        Metric(
            name=name,
            value=value,
            protocol=f"{pairs.source}, {cost.runtime}",
            measured_by="us",
            report=CARD_FILE,
        )
        for cost in costs
        for name, value in (
            ("mean_cosine_to_f32", cost.mean_cosine),
            ("min_cosine_to_f32", cost.min_cosine),
            (f"tar_at_far_{pairs.far:g}", cost.tar),
            (f"tar_at_far_{pairs.far:g}_minus_f32", cost.tar - cost.tar_f32),
        )
    ]


def _card(
    card: str, source: Manifest, manifest: Manifest, costs: tuple[Int8Cost, ...], pairs: CheckPairs
) -> str:
    """The card of the f32 model under the new name, with its cost before all else."""
    mated = int(pairs.mated.sum())
    lines = [
        f"- {c.runtime}: cosine to f32 {c.mean_cosine:.4f} on average, {c.min_cosine:.4f} at worst; TAR at FAR "
        f"{pairs.far:g} {c.tar:.4f}, f32 {c.tar_f32:.4f} ({c.lost} mated pairs lost, {c.gained} gained)"
        for c in costs
    ]
    return (
        f"# {manifest.name}\n\n{manifest.summary}\n\n## What int8 costs\n\nMeasured on {pairs.source}: {mated:,} "
        f"mated and {len(pairs.mated) - mated:,} non-mated pairs. Processors and runtimes round int8 differently, so "
        "templates should be made and compared with one runtime. All figures further down are those of f32.\n\n"
        + "\n".join(lines)
        + f"\n\nweights: {manifest.weights[0].bytes:,} bytes, sha256 `{manifest.weights[0].sha256}`\n\n"
        + card.replace(f"# {source.name}\n", f"# Card of {source.name}, from which it was made\n", 1)
    )
