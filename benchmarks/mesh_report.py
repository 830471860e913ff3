"""The report of :mod:`benchmarks.mesh_removal`: its values, the bars that it is held to, and tables for people."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.mesh_data import SEEN, UNSEEN
from benchmarks.mesh_pictures import Detector, Likeness
from benchmarks.mesh_scores import Impostors, Verified
from lineament.evaluation.html_parts import Markup, heading, page, paragraph, table
from lineament.evaluation.machine import Machine
from lineament.evaluation.verification import SystemUsed

BAR_FAR = 1e-3
GAP_BARS = {SEEN: 0.8, UNSEEN: 0.6}
"""Share of the gap in TAR at :data:`BAR_FAR` that must be closed."""
BAR_MS, BAR_BYTES = 50.0, 6_000_000
BAR_TOUCHED, BAR_FOUND = 1e-3, 0.995
Rows = Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """What a method costs.

    Attributes:
        name: for tables.
        sha256: of its file; empty for a classical method.
        bytes: size of its file; 0 for a classical method.
        parameters: numbers of its network; 0 for a classical method.
        ms_id_photo: median time for one picture of 178 x 220 px on one thread, ms.
    """

    name: str
    sha256: str
    bytes: int
    parameters: int
    ms_id_photo: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One demand and what was measured.

    Attributes:
        what: in words.
        value: measured.
        bar: asked.
        met: whether the value keeps the bar.
    """

    what: str
    value: float
    bar: float
    met: bool


@dataclass(frozen=True, slots=True)
class MeshReport:
    """Everything that one run found.

    Attributes:
        protocol: what was compared, in words.
        data_sha256: digest of the pictures.
        n_pairs: comparisons.
        recognisers: with their weights.
        machine: where it ran.
        methods: what they cost.
        verified: rates.
        likeness: how the pictures look.
        detectors: whether meshes are found.
    """

    protocol: str
    data_sha256: str
    n_pairs: int
    recognisers: tuple[SystemUsed, ...]
    machine: Machine
    methods: tuple[MethodFacts, ...]
    verified: tuple[Verified, ...]
    likeness: tuple[Likeness, ...]
    detectors: tuple[Detector, ...]

    def bars(self) -> Iterator[Bar]:
        """The demands on restorers, for all that a figure was measured for."""
        for row in self.verified:
            bar = GAP_BARS.get(row.condition)
            for rate in row.rates:
                if bar is not None and rate.far == BAR_FAR and rate.gap is not None:
                    what = f"gap closed at FAR {BAR_FAR:g}, {row.condition}, {row.recogniser}, {label(row)}"
                    yield Bar(what, rate.gap.value, bar, rate.gap.value >= bar)
        for method in self.methods:
            if method.bytes:
                yield Bar(
                    f"ms a picture, {method.name}", method.ms_id_photo, BAR_MS, method.ms_id_photo <= BAR_MS
                )
                yield Bar(f"bytes, {method.name}", method.bytes, BAR_BYTES, method.bytes <= BAR_BYTES)
        for found in self.detectors:
            if found.touched is None:
                continue
            what = f"clean pictures touched, {found.method}"
            yield Bar(what, found.touched, BAR_TOUCHED, found.touched <= BAR_TOUCHED)
            for one in found.conditions:
                if one.found is not None:
                    what = f"meshed pictures found, {one.condition}, {found.method}"
                    yield Bar(what, one.found, BAR_FOUND, one.found >= BAR_FOUND)


def label(row: Verified) -> str:
    """Name of a row in the table of its recogniser."""
    if not row.condition:
        name = "clean to clean"
    elif not row.method:
        name = "mesh to clean"
    else:
        name = row.method
    return name if row.embedder == row.recogniser else f"{name}, trained under mesh ({row.embedder})"


def _impostors(row: Impostors) -> str:
    mark = " RISES" if row.rises else ""
    return f"{row.fmr:.2e} [{row.low:+.1e}, {row.high:+.1e}]{mark}"


def verified_table(rows: Sequence[Verified]) -> tuple[tuple[str, ...], Rows]:
    """Heads and cells of one recogniser under one condition."""
    heads = ["method"]
    for rate in rows[0].rates:
        heads += [f"TAR at FAR {rate.far:g} [95 %]", "gap closed [95 %]", "FMR, threshold held [95 %]"]
    heads += [f"impostors at {i.fmr_asked:g}: FMR [change, 95 %]" for i in rows[0].impostors]
    heads += ["accuracy", "impostor mean"]
    cells = []
    for row in rows:
        line = [label(row)]
        for rate in row.rates:
            gap = f"{rate.gap.value:.1%} [{rate.gap.low:.1%}, {rate.gap.high:.1%}]" if rate.gap else "-"
            fmr = f"{rate.fixed_fmr:.4f} [{rate.fixed_low:.4f}, {rate.fixed_high:.4f}]"
            line += [f"{rate.tar:.4f} [{rate.low:.4f}, {rate.high:.4f}]", gap, fmr]
        line += [_impostors(i) for i in row.impostors]
        line += [f"{row.accuracy:.4f} +- {row.standard_error:.4f}", f"{row.impostor_similarity:.3f}"]
        cells.append(tuple(line))
    return tuple(heads), cells


def likeness_table(report: MeshReport) -> tuple[tuple[str, ...], Rows]:
    """Heads and cells of how pictures look."""
    cells = [
        (
            f"{row.condition}: {row.method or 'nothing done'}",
            f"{row.psnr_db:.2f}",
            f"{row.psnr_ink_db:.2f}",
            f"{row.ssim:.4f}",
            "-" if row.mask_iou is None else f"{row.mask_iou:.3f}",
        )
        for row in report.likeness
    ]
    return ("condition: method", "PSNR dB", "PSNR under ink dB", "SSIM", "mask IoU"), cells


def methods_table(report: MeshReport) -> tuple[tuple[str, ...], Rows]:
    """Heads and cells of what methods cost."""
    cells = [
        (
            m.name,
            f"{m.ms_id_photo:.1f}",
            f"{m.parameters:,}" if m.bytes else "-",
            f"{m.bytes:,}" if m.bytes else "-",
        )
        for m in report.methods
    ]
    return ("method", "ms a 178 x 220 px picture, one thread", "parameters", "bytes"), cells


def detectors_table(report: MeshReport) -> tuple[tuple[str, ...], Rows]:
    """Heads and cells of what scores find."""
    names = [one.condition for one in report.detectors[0].conditions] if report.detectors else []
    cells = []
    for found in report.detectors:
        line = [found.method, "-" if found.threshold is None else f"{found.threshold:.4f}"]
        line += [f"{found.clean_quantile:.4f}"]
        line.append(
            "-"
            if found.touched is None
            else f"{found.touched:.4%} [{found.low:.4%}, {found.high:.4%}] of {found.n_clean:,}"
        )
        for one in found.conditions:
            share = "" if one.found is None else f"{one.found:.2%} [{one.low:.2%}, {one.high:.2%}], "
            line.append(f"{share}AUC {one.auc:.5f}")
        cells.append(tuple(line))
    heads = (
        "method",
        "threshold",
        "score of 1 in 1,000 clean",
        "clean touched",
        *(f"found: {n}" for n in names),
    )
    return heads, cells


def bars_table(report: MeshReport) -> tuple[tuple[str, ...], Rows]:
    """Heads and cells of the demands."""
    cells = [(b.what, f"{b.value:.4g}", f"{b.bar:.4g}", "met" if b.met else "MISSED") for b in report.bars()]
    return ("demand", "measured", "bar", ""), cells


def tables(report: MeshReport) -> Iterator[tuple[str, tuple[str, ...], Rows]]:
    """Caption, heads and cells of every table."""
    for recogniser in dict.fromkeys(row.recogniser for row in report.verified):
        mine = [row for row in report.verified if row.recogniser == recogniser]
        clean = [row for row in mine if not row.condition]
        for condition in dict.fromkeys(row.condition for row in mine if row.condition):
            here = [*clean, *(row for row in mine if row.condition == condition)]
            yield f"{recogniser}, {condition}", *verified_table(here)
    further: tuple[tuple[str, Callable[[MeshReport], tuple[tuple[str, ...], Rows]]], ...] = (
        ("Likeness to the clean pictures", likeness_table),
        ("Detector", detectors_table),
        ("Methods", methods_table),
        ("Demands", bars_table),
    )
    for caption, made in further:
        heads, rows = made(report)
        if rows:
            yield caption, heads, rows


def text(report: MeshReport) -> str:
    """All tables for a terminal."""
    parts = []
    for caption, heads, rows in tables(report):
        lines = [heads, *rows]
        widths = [max(len(line[k]) for line in lines) for k in range(len(heads))]
        body = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        parts.append("\n".join([caption, *body]))
    return "\n\n".join(parts) + "\n"


def markdown(report: MeshReport) -> str:
    """All tables as Markdown."""
    parts = ["# Mesh removal", report.protocol]
    for caption, heads, rows in tables(report):
        lines = ["| " + " | ".join(line) + " |" for line in (heads, *rows)]
        parts.append("\n".join([f"## {caption}", "", lines[0], "|" + "---|" * len(heads), *lines[1:]]))
    return "\n\n".join(parts) + "\n"


def html(report: MeshReport) -> str:
    """All tables as one page that opens offline."""
    parts: list[Markup] = [heading(1, "Mesh removal"), paragraph(report.protocol)]
    parts += [table(caption, heads, rows) for caption, heads, rows in tables(report)]
    used = [(u.name, ", ".join(f"{w.name} {w.sha256}" for w in u.weights)) for u in report.recognisers]
    used += [(m.name, m.sha256 or "no weights") for m in report.methods]
    parts.append(table("Weights, sha256", ("what", "sha256"), used))
    parts.append(paragraph(f"{report.machine.processor}, {report.machine.cores} cores", soft=True))
    return page("Mesh removal", parts)
