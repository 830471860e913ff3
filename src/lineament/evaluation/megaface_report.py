"""What a MegaFace run found and on what, as text, JSON and a picture."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lineament.core.errors import ConfigError, DataError
from lineament.evaluation.jsonfile import dump_report, load_report
from lineament.evaluation.machine import Machine, this_machine
from lineament.evaluation.megaface import SETS, MegafaceSize, Progress, measure_megaface
from lineament.evaluation.megaface_probes import Probes
from lineament.evaluation.plots import Target
from lineament.evaluation.vectors import VectorPart
from lineament.evaluation.verification import SystemUsed
from lineament.metrics.bootstrap import Resampling

PROTOCOL = (
    "MegaFace: every photo is the mate of each other photo of its person, only distractors compete, ties go to the "
    f"distractor; {SETS} nested random sets of each size below all"
)


@dataclass(frozen=True, slots=True)
class MegafaceReport:
    """Everything that a run found. Rates are fractions.

    Attributes:
        system: what made the vectors; None for saved embeddings.
        space: id of the embedding space; empty when the files do not say.
        probes: name of the probe data.
        probes_sha256: its digest.
        distractors: name and digest of each distractor part.
        n_by_part: distractors of each part.
        protocol: the rules, and how pictures were treated.
        n_people: probe people with two photos or more.
        n_photos: their photos and those of others, refused ones included where it is known whose they are.
        n_trials: trials, refused ones included; those are misses.
        n_trials_made: trials in which both photos gave a vector.
        probe_refusals: refused photos by reason.
        distractor_refusals: refused distractor pictures by reason; they compete in no trial.
        notes: what was left out or is not known.
        sizes: rates by number of distractors, rising.
        replicates: bootstrap replicates behind the intervals.
        seed: of the sets and the bootstrap.
        machine: hardware and versions.
        wall_s: time of the comparisons, s.
        kind: tells this report from others in a file.
    """

    system: SystemUsed | None
    space: str
    probes: str
    probes_sha256: str
    distractors: tuple[tuple[str, str], ...]
    n_by_part: tuple[int, ...]
    protocol: str
    n_people: int
    n_photos: int
    n_trials: int
    n_trials_made: int
    probe_refusals: dict[str, int]
    distractor_refusals: dict[str, int]
    notes: tuple[str, ...]
    sizes: tuple[MegafaceSize, ...]
    replicates: int
    seed: int
    machine: Machine
    wall_s: float
    kind: Literal["megaface"] = "megaface"

    @property
    def name(self) -> str:
        """How tables and pictures call what was evaluated."""
        return self.system.name if self.system else "saved embeddings"

    @property
    def dataset(self) -> str:
        """Names of the data: probes among distractors."""
        return f"{self.probes} among {' and '.join(name for name, _ in self.distractors)}"

    def to_json(self) -> str:
        """The report as JSON."""
        return dump_report(self)

    @classmethod
    def from_json(cls, text: str) -> "MegafaceReport":
        """The report that :meth:`to_json` wrote.

        Raises:
            DataError: not such a report.
        """
        return load_report(cls, text)

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Headings, and a row of texts for each number of distractors: identification rates and TAR."""
        fars = list(dict.fromkeys(point.asked for size in self.sizes for point in size.points))
        rows = []
        for size in self.sizes:
            points = {point.asked: point for point in size.points}
            rows.append(
                (
                    f"{size.n_distractors:,}",
                    f"{size.cmc[0]:.4f} [{size.low:.4f}, {size.high:.4f}]",
                    *(f"{size.cmc[k - 1]:.4f}" if k <= len(size.cmc) else "" for k in (5, 10)),
                    *(f"{points[far].tar:.4f}" if far in points else "too few" for far in fars),
                )
            )
        heads = (f"TAR at FAR {far:g}" for far in fars)
        return ("distractors", "rank 1 [95 % interval]", "rank 5", "rank 10", *heads), rows

    def text(self) -> str:
        """The report for people, without the table of sizes."""
        refused = ", ".join(f"{reason} {count}" for reason, count in self.probe_refusals.items())
        lines = [
            f"{self.name}: probes {self.probes}, distractors "
            + ", ".join(
                f"{n:,} of {name}" for n, (name, _) in zip(self.n_by_part, self.distractors, strict=True)
            ),
            f"{self.n_people:,} people, {self.n_photos:,} photos{f' ({refused})' if refused else ''}; "
            f"{self.n_trials:,} trials, {self.n_trials - self.n_trials_made:,} of them with a refused photo, which "
            "are misses",
        ]
        lines += [f"note: {words}" for words in self.notes]
        largest = self.sizes[-1]
        lines += [
            f"TAR at FAR {p.asked:g} against {largest.n_distractors:,} distractors: {p.tar:.4f} [{p.low:.4f}, "
            f"{p.high:.4f}], {p.false_accepts:,} false accepts in {largest.n_nonmated:,} comparisons"
            for p in largest.points
        ]
        lines += largest.not_supported
        lines.append(
            f"95 % intervals from resampled probe people, the distractors as they are ({self.replicates}, seed "
            f"{self.seed})"
        )
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Origin:
    """What made the vectors of a report.

    Attributes:
        system: None for saved embeddings.
        how: how a vector is made from a picture, in words.
    """

    system: SystemUsed | None
    how: str


def megaface_report(
    probes: Probes,
    distractors: Sequence[VectorPart],
    origin: Origin,
    fars: Sequence[float],
    plan: Resampling,
    progress: Progress | None = None,
) -> MegafaceReport:
    """:func:`measure_megaface` with what it was measured on.

    Args:
        probes: photos of people.
        distractors: vectors of other people.
        origin: what made the vectors.
        fars: false accept rates asked for.
        plan: bootstrap over the probe people; its seed also draws the sets.
        progress: told after every block.

    Raises:
        DataError: the vectors cannot be used, or are of different embedding spaces.
    """
    spaces = {probes.space, *(part.space for part in distractors)} - {""}
    if len(spaces) > 1:
        raise DataError(
            f"the vectors are of different embedding spaces and cannot be compared: {', '.join(sorted(spaces))}"
        )
    start_s = time.perf_counter()
    sizes = measure_megaface(probes, distractors, fars, plan, progress)
    made = np.bincount(probes.subjects)
    return MegafaceReport(
        system=origin.system,
        space=next(iter(spaces), ""),
        probes=probes.name,
        probes_sha256=probes.digest,
        distractors=tuple((part.name, part.digest) for part in distractors),
        n_by_part=tuple(map(len, distractors)),
        protocol=f"{PROTOCOL}; {origin.how}",
        n_people=int(np.count_nonzero(probes.photos > 1)),
        n_photos=int(probes.photos.sum()),
        n_trials=int(probes.trials.sum()),
        n_trials_made=int((made * (made - 1)).sum()),
        probe_refusals=probes.refusals,
        distractor_refusals=_refusals(distractors),
        notes=(*probes.notes, *_notes(probes, distractors)),
        sizes=sizes,
        replicates=plan.replicates,
        seed=plan.seed,
        machine=this_machine(),
        wall_s=time.perf_counter() - start_s,
    )


def _refusals(distractors: Sequence[VectorPart]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in distractors:
        for reason, count in part.refusals:
            counts[reason] = counts.get(reason, 0) + count
    return dict(sorted(counts.items()))


def _notes(probes: Probes, distractors: Sequence[VectorPart]) -> list[str]:
    """What was left out of the distractors, and which spaces are not known."""
    notes = [
        f"{part.n_copies:,} copies among the pictures of {part.name} were left out"
        for part in distractors
        if part.n_copies
    ]
    named = [(probes.name, probes.space), *((part.name, part.space) for part in distractors)]
    unknown = [name for name, space in named if not space]
    if unknown:
        notes.append(
            f"which space the vectors of {', '.join(unknown)} are of is not known: it was not checked"
        )
    return notes


def plot_megaface(target: Target, report: MegafaceReport) -> None:
    """Rank-1 identification rate by number of distractors with its intervals, and CMC for each number.

    Args:
        target: PNG to write.
        report: what to draw.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            'pictures of error rates need matplotlib, which is not installed: pip install "lineament[plots]"'
        ) from error
    figure = Figure(figsize=(11, 4.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    by_number, by_rank = figure.subplots(1, 2)
    numbers = [size.n_distractors for size in report.sizes]
    rates = [size.cmc[0] for size in report.sizes]
    ends = [[rate - size.low, size.high - rate] for rate, size in zip(rates, report.sizes, strict=True)]
    by_number.errorbar(
        numbers, rates, np.maximum(np.transpose(ends), 0), fmt="o-", capsize=3, color="#0072B2"
    )
    by_number.set_xscale("log")
    by_number.set_xlabel("distractors")
    by_number.set_ylabel("rank-1 identification rate, 95 % intervals")
    styles = ("-", "--", "-.", ":")
    for index, size in enumerate(report.sizes):
        by_rank.plot(
            range(1, len(size.cmc) + 1),
            size.cmc,
            linestyle=styles[index % len(styles)],
            label=f"{size.n_distractors:,} distractors",
        )
    by_rank.set_xticks([1, 5, 10, 15, 20])
    by_rank.set_xlabel("rank")
    by_rank.set_ylabel("mate found within the rank (CMC)")
    by_rank.legend(loc="lower right", fontsize=8)
    for axes in (by_number, by_rank):
        axes.grid(visible=True, color="0.85", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_ylim(top=1)
    figure.savefig(target, format="png")
