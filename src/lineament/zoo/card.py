"""What is said about an exported model: facts that only its maker knows, and the card that shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from lineament.zoo.manifest import Licence, Manifest, Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCard:
    """Facts about a model that its weights do not tell.

    Attributes:
        name: in the zoo, ``family-size.data-recipe``.
        summary: one sentence: which network, how many numbers, for what.
        publisher: who trained it.
        licence: code, weights and data are three answers; nobody can guess them.
        data: what it was trained on: sets, pictures, subjects.
        recipe: name of the recipe.
        config_digest: digest of the resolved configuration.
        metrics: measured figures, each with its report.
        limits: what it must not be used for, or was not measured on; one sentence each.
        paper: of the method; empty for none.

    Raises:
        ValueError: an answer is empty, or a figure of ours names no report; all are listed.
    """

    name: str
    summary: str
    publisher: str
    licence: Licence
    data: str
    recipe: str
    config_digest: str
    metrics: tuple[Metric, ...] = ()
    limits: tuple[str, ...]
    paper: str = ""

    def __post_init__(self) -> None:
        asked = {
            name: getattr(self, name)
            for name in ("summary", "publisher", "data", "recipe", "config_digest", "limits")
        } | {f"licence.{name}": getattr(self.licence, name) for name in ("code", "weights", "data")}
        faults = [f"{name} is empty" for name, value in asked.items() if not value]
        faults += [
            f"metric {m.name} names no report" for m in self.metrics if m.measured_by == "us" and not m.report
        ]
        if faults:
            raise ValueError(f"card of {self.name}: {'; '.join(faults)}; say it, or say that it is not known")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely an exported network repeats the trained one, from crops to unit vectors.

    Attributes:
        runtime: what ran it.
        precision: "f32" or "bf16".
        crops: number of crops compared.
        min_cosine: smallest cosine of a crop's two vectors.
        max_difference: largest difference of a component.
    """

    runtime: str
    precision: str
    crops: int
    min_cosine: float
    max_difference: float


def card_text(card: ExportCard, manifest: Manifest, sections: Sequence[tuple[str, Sequence[str]]]) -> str:
    """The model card in Markdown.

    Args:
        card: facts of the maker.
        manifest: of the exported model.
        sections: headings and list items that say how the file was made and checked.
    """
    spec, licence = manifest.input, manifest.licence
    weight = manifest.weights[0]
    parts: list[tuple[str, Sequence[str]]] = [
        (
            "What it is",
            [
                f"task: {manifest.task}; {manifest.dimension} numbers, compared by their cosine",
                f"input: {spec.colour}, {' × '.join(map(str, spec.shape))}, (pixel − {list(spec.mean)}) / "
                f"{list(spec.std)}, crop template {spec.template}",
                f"weights: {weight.bytes:,} bytes, sha256 `{weight.sha256}`",
                f"trained by {card.publisher}; recipe {card.recipe}, configuration {card.config_digest}",
                *([f"method: {card.paper}"] if card.paper else []),
            ],
        ),
        ("Data", [card.data]),
        (
            "Licences",
            [
                f"code: {licence.code}",
                f"weights: {licence.weights}",
                f"data: {licence.data}",
                f"commercial use: {'allowed' if licence.commercial_use else 'not allowed'}",
            ],
        ),
        ("Measured", [_figure(m) for m in card.metrics] or ["nothing yet"]),
        *sections,
        ("Limits", card.limits),
    ]
    body = "\n".join(f"\n## {heading}\n\n" + "\n".join(f"- {i}" for i in items) for heading, items in parts)
    return f"# {manifest.name}\n\n{card.summary}\n{body}\n"


def _figure(metric: Metric) -> str:
    interval = f" [{metric.interval95[0]:g}, {metric.interval95[1]:g}]" if metric.interval95 else ""
    by = f"`{metric.report}`" if metric.measured_by == "us" else "as published"
    return f"{metric.name} {metric.value:g}{interval} ({metric.protocol}; {by})"
