"""Pictures of 1:1 figures on a page: ROC and DET of several systems, and the similarities of each."""

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import PIL.Image

from lineament.evaluation.html_parts import Markup, figure, paragraph, picture
from lineament.evaluation.one_to_one import OneToOne
from lineament.evaluation.plots import Curve, Histogram, plot_det_curves, plot_histogram, plot_roc_curves

_COLOURS = 64


def drawn(draw: Callable[..., None], *arguments: Any) -> bytes:
    """The PNG that a function of :mod:`lineament.evaluation.plots` writes, with a palette.

    Drawings have few colours; without the palette a page of several systems is three times as large.
    """
    whole, small = io.BytesIO(), io.BytesIO()
    draw(whole, *arguments)
    with PIL.Image.open(whole) as image:
        image.convert("RGB").quantize(_COLOURS).save(small, "PNG", optimize=True)
    return small.getvalue()


def figures_of(images: Iterator[Markup]) -> Markup:
    """Pictures side by side where there is room."""
    return Markup(f'<div class="figures">{"".join(images)}</div>')


def curve_pictures(systems: Mapping[str, OneToOne]) -> Iterator[Markup]:
    """ROC, DET and histograms of what kept them; others are named.

    Args:
        systems: figures by the name of the system.
    """
    without = [name for name, found in systems.items() if found.evidence is None]
    if without:
        yield paragraph(
            f"No curves for {', '.join(without)}: the report comes from a version that did not keep them. "
            "Evaluate again to have them."
        )
    if len(without) < len(systems):
        yield figures_of(_pictures(systems))


def _pictures(systems: Mapping[str, OneToOne]) -> Iterator[Markup]:
    curves = {
        name: Curve(
            np.array(found.evidence.fmr),
            np.array(found.evidence.fnmr),
            found.n_mated_compared,
            found.n_nonmated_compared,
        )
        for name, found in systems.items()
        if found.evidence is not None
    }
    described = "; ".join(f"{name}: EER {100 * systems[name].eer:.2f} %" for name in curves)
    for kind, draw, caption in (
        ("ROC", plot_roc_curves, "ROC: true accept rate over false match rate (FAR), logarithmic."),
        (
            "DET",
            plot_det_curves,
            "DET: false non-match rate (FRR) over false match rate (FAR), normal-deviate axes.",
        ),
    ):
        alt = f"{kind} curves. {described}. The tables hold the figures."
        yield figure(picture(drawn(draw, curves), "png", alt), caption)
    for name in curves:
        yield _histogram(name, systems[name])


def _histogram(name: str, found: OneToOne) -> Markup:
    kept = found.evidence
    if kept is None:
        return Markup("")
    counts = Histogram(np.array(kept.bin_edges), np.array(kept.mated_counts), np.array(kept.nonmated_counts))
    thresholds = {f"FMR {point.asked:g}": point.threshold for point in found.points}
    said = ", ".join(f"threshold {value:.3f} at {label}" for label, value in thresholds.items())
    alt = (
        f"Histogram of similarities of {name}: {found.n_mated_compared:,} mated and "
        f"{found.n_nonmated_compared:,} non-mated comparisons from {kept.bin_edges[0]:.2f} to "
        f"{kept.bin_edges[-1]:.2f}; {said or 'no threshold drawn'}."
    )
    return figure(
        picture(drawn(plot_histogram, counts, thresholds), "png", alt),
        f"Similarities of {name}, with the thresholds of the table.",
    )
