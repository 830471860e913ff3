"""Timings and what is written about them."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Attributes:
        budget_s: time for one figure.
        least: repetitions at least.
        most: repetitions at most.
        processes: new processes for a figure of the command line.
    """

    budget_s: float
    least: int
    most: int
    processes: int


FULL = Effort(budget_s=4.0, least=20, most=2000, processes=9)
QUICK = Effort(budget_s=0.05, least=2, most=20, processes=1)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    Attributes:
        stage: what was measured.
        system: by what; model, runtime, precision.
        median: middle of the repetitions, in ``unit``.
        p99: 99th percentile of them.
        best: smallest of them.
        unit: "ms", "s" or "MB".
        repetitions: how many.
        items: faces, pictures or queries in one repetition.
        is_baseline: others of the stage are compared with this one.
        bar: the largest value that the project asks for; None without one.
        note: what a reader must know.
    """

    stage: str
    system: str
    median: float
    p99: float
    best: float
    unit: str
    repetitions: int
    items: int = 1
    is_baseline: bool = False
    bar: float | None = None
    note: str = ""


def measure(work: Callable[[], object], stage: str, system: str, effort: Effort, **facts: Any) -> Figure:
    """Repeat ``work`` for the budget and give its wall times in ms; the first call warms up and does not count."""
    work()
    seconds: list[float] = []
    began = time.perf_counter()
    while len(seconds) < effort.least or (
        time.perf_counter() - began < effort.budget_s and len(seconds) < effort.most
    ):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return summary([1e3 * s for s in seconds], stage, system, "ms", **facts)


def summary(values: Sequence[float], stage: str, system: str, unit: str, **facts: Any) -> Figure:
    """A figure of repeated values."""
    median, p99 = np.percentile(values, [50, 99])
    return Figure(stage, system, float(median), float(p99), float(min(values)), unit, len(values), **facts)


def ratio(figure: Figure, figures: Iterable[Figure]) -> float | None:
    """How many times faster (or smaller) than the stage's baseline; None without one."""
    same = [f for f in figures if f.stage == figure.stage and f.is_baseline and f.items == figure.items]
    return same[0].median / figure.median if same and figure.median > 0 else None


def document(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Figures for JSON, rounded to what a clock can tell, with their ratio to the baseline."""
    found = []
    for figure in figures:
        times = ratio(figure, figures)
        fields = asdict(figure) | {"ratio_to_baseline": None if times is None else round(times, 3)}
        found.append({k: round(v, 4) if isinstance(v, float) else v for k, v in fields.items()})
    return found


def table(figures: Sequence[Figure]) -> str:
    """Figures for people."""
    heads = ("stage", "system", "median", "p99", "best", "a second", "x base", "bar", "")
    rows = [heads, *(_row(f, figures) for f in figures)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(heads))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * min(160, sum(widths) + 2 * len(widths)), *lines[1:]])


def _row(figure: Figure, figures: Sequence[Figure]) -> tuple[str, ...]:
    times = ratio(figure, figures)
    per_second = {"ms": 1e3, "s": 1.0}.get(figure.unit)
    bar = ""
    if figure.bar is not None:
        bar = f"{figure.bar:g} {figure.unit} {'met' if figure.median <= figure.bar else 'MISSED'}"
    return (
        figure.stage,
        figure.system,
        f"{figure.median:.3g} {figure.unit}",
        f"{figure.p99:.3g}",
        f"{figure.best:.3g}",
        f"{figure.items * per_second / figure.median:.3g}" if per_second and figure.median > 0 else "",
        "base" if figure.is_baseline else "" if times is None else f"{times:.2f}",
        bar,
        figure.note,
    )
