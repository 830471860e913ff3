"""What galleries beyond one machine cost: measured bytes and processor time, scaled to more templates.

Scans grow with the number of templates, so their processor time is scaled by it. A search of the graph (HNSW)
grows about with the logarithm; its recall is not scaled, it falls. A node is 16 cores and 64 GB, of which three
quarters hold templates and seven tenths of the processor time search; the rest is the system's, the writers' and
the peak's.
"""

import math
from dataclasses import dataclass
from typing import Any

NODE_CORES = 16
NODE_BYTES = 64e9
USED_BYTES = 0.75
USED_CPU = 0.7
SIZES = (1_000_000, 10_000_000, 100_000_000)
RATE_HZ = 10.0
"""Identifications a second that the number of nodes is given for."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One way to search, as measured.

    Attributes:
        name: what the table calls it.
        templates: how many it was measured with.
        bytes_each: that must be in memory for each template.
        cpu_s: processor seconds of one identification, of server and client together.
        same_weak: share of weak mates with the decision of an exact search.
        same_non: share of probes without a mate with the decision of an exact search.
        is_graph: time grows with the logarithm of the templates instead of their number.
    """

    name: str
    templates: int
    bytes_each: float
    cpu_s: float
    same_weak: float
    same_non: float
    is_graph: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """A gallery of one size on one engine.

    Attributes:
        templates: in the gallery.
        memory_bytes: of all its templates together, once.
        qps_per_core: identifications that one core does in a second when the whole gallery is searched by it.
        nodes: that hold the templates once and do ``RATE_HZ`` identifications a second.
        bound: "memory" or "cores", whatever asks for more nodes.
    """

    templates: int
    memory_bytes: float
    qps_per_core: float
    nodes: int
    bound: str


def cost(engine: Engine, templates: int) -> Cost:
    """Scale ``engine`` to ``templates``."""
    growth = templates / engine.templates
    if engine.is_graph:
        growth = math.log(templates) / math.log(engine.templates)
    cpu_s = engine.cpu_s * growth
    memory = engine.bytes_each * templates
    for_memory = math.ceil(memory / (NODE_BYTES * USED_BYTES))
    for_cores = math.ceil(RATE_HZ * cpu_s / (NODE_CORES * USED_CPU))
    return Cost(
        templates,
        memory,
        1 / cpu_s,
        max(for_memory, for_cores),
        "cores" if for_cores > for_memory else "memory",
    )


def engines(report: dict[str, Any]) -> list[Engine]:
    """The ways to search in a report of ``benchmarks.galleries`` that a plan needs, each at its largest size.

    Those are the embedded gallery, the exact scan of PostgreSQL, and of all graphs the one that decides most like it.
    """
    found: dict[str, Engine] = {}
    for result in report["results"]:
        for name, way in result["ways"].items():
            same = way["same_decision_weak_mates"], way["same_decision_non_mates"]
            cpu_s, is_graph = way["cpu_ms"] / 1e3, "HNSW" in name
            found[name] = Engine(name, result["templates"], way["bytes_each"], cpu_s, *same, is_graph)
    graphs = sorted(
        (engine for engine in found.values() if engine.is_graph),
        key=lambda engine: (min(engine.same_weak, engine.same_non), -engine.cpu_s),
    )
    return [found[name] for name in ("embedded", "PostgreSQL, exact")] + graphs[-1:]


def table(report: dict[str, Any]) -> str:
    """The cost model as Markdown."""
    lines = [
        "| engine | measured with | weak mates, non-mates decided as by an exact search | bytes a template "
        f"| templates | memory | QPS a core | nodes for {RATE_HZ:g}/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for engine in engines(report):
        measured = (
            f"{engine.templates:,} | {engine.same_weak:.4f}, {engine.same_non:.4f} | {engine.bytes_each:.0f}"
        )
        for size in SIZES:
            at = cost(engine, size)
            lines.append(
                f"| {engine.name} | {measured} | {size // 1_000_000} M | {at.memory_bytes / 1e9:.1f} GB "
                f"| {at.qps_per_core:.3g} | {at.nodes} ({at.bound}) |"
            )
    return "\n".join(lines)


def side_by_side(report: dict[str, Any]) -> str:
    """What was measured of both galleries as Markdown."""
    machine, results = report["machine"], report["results"]
    loads = " and ".join(f"{result['load_average']:.1f}" for result in results)
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, with a load of {loads} (wall times need one below 1).",
        "",
        "| templates | way | decided as by an exact search: weak mates, non-mates | processor time "
        "| identify p50 / p99 | two threads | one of a batch of 64 |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for name, way in result["ways"].items():
            same = f"{way['same_decision_weak_mates']:.4f}, {way['same_decision_non_mates']:.4f}"
            lines.append(
                f"| {result['templates']:,} | {name} | {same} | {way['cpu_ms']:.3g} ms "
                f"| {way['p50_ms']:.3g} / {way['p99_ms']:.3g} ms | {way['qps_two_threads']:.3g}/s "
                f"| {way['batch_ms_each']:.3g} ms |"
            )
    return "\n".join(lines)


def filled(page: str, report: dict[str, Any]) -> str:
    """``page`` with both tables between its marks."""
    for mark, text in (("side by side", side_by_side(report)), ("cost", table(report))):
        before, rest = page.split(f"<!-- {mark} -->\n", 1)
        page = f"{before}<!-- {mark} -->\n{text}\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}"
    return page
