"""How much of what a mesh takes from verification each way of removing it gives back: LFW View 2, one side meshed.

The first picture of every pair is the reference and carries the mesh, drawn on the aligned 112 px crop and followed by
JPEG; the second is clean. Meshes are of five kinds, some of which no network was trained on, and are seeded by the
picture's name. Every method restores every reference, whether it takes it for meshed or not. For each recogniser: TAR
at two FARs with intervals (bootstrap over subjects), the share of the gap between mesh to clean (floor) and clean to
clean (ceiling) that is closed (paired bootstrap), the false match rate at the thresholds that hold without a mesh, on
the pairs and on every comparison of a reference with a picture of another person. Then likeness to the clean pictures,
what scores find, and what methods cost. People of LFW must be in no training set of what is judged.

    python -m benchmarks.mesh_removal --lfw lfw_aligned112 --method demesh --method pixel-only=pixel.onnx \
        --recogniser edgeface-xs --recogniser dlib-resnet+flip --recogniser mobilefacenet \
        --mesh-trained mobilefacenet.robust=mobilefacenet --json reports/mesh-removal.json --html mesh-removal.html

Tables go to the terminal and, in Markdown, beside the JSON. A sheet of examples (``--sheet``) shows people of LFW:
keep it as you keep the data set itself.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.mesh_data import (
    CONDITIONS,
    JPEG_QUALITY,
    Condition,
    Lfw,
    Meshed,
    id_photo,
    lay_mesh,
    read_lfw,
)
from benchmarks.mesh_methods import (
    Method,
    Restored,
    classical_methods,
    graph_method,
    milliseconds,
    take_off,
    zoo_method,
)
from benchmarks.mesh_pictures import Detector, Likeness, detector, likeness, sheet, sheet_places
from benchmarks.mesh_report import MeshReport, MethodFacts, html, markdown, text
from benchmarks.mesh_scores import PLAN, Recogniser, Verified
from lineament.core.arrays import ImageArray
from lineament.evaluation.jsonfile import dump_report
from lineament.evaluation.machine import this_machine
from lineament.evaluation.verification import SystemUsed
from lineament.zoo.files import write_atomic


@dataclass(slots=True)
class Run:
    """What is measured, and what was found so far.

    Attributes:
        lfw: pairs and crops.
        methods: in the order of the tables.
        recognisers: a base before those that are judged by it.
        conditions: what is laid over the references.
        sheet_of: method whose pictures go onto the sheet; empty for no sheet.
    """

    lfw: Lfw
    methods: Sequence[Method]
    recognisers: Sequence[Recogniser]
    conditions: Sequence[Condition] = CONDITIONS
    sheet_of: str = ""
    verified: list[Verified] = field(default_factory=list)
    likeness: list[Likeness] = field(default_factory=list)
    scores: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    triples: list[tuple[ImageArray, ImageArray, ImageArray]] = field(default_factory=list)

    def measure(self) -> None:
        """Every condition with every method."""
        self.verified += [recogniser.clean() for recogniser in self.recognisers]
        clean = self.lfw.crops[self.lfw.references]
        for number, condition in enumerate(self.conditions):
            meshed = lay_mesh(clean, self.lfw.reference_names, condition)
            self.likeness.append(likeness(clean, meshed, meshed.pixels, None, (condition.name, "")))
            self._verify(meshed.pixels, condition.name, "")
            for method in self.methods:
                restored = take_off(method.remover, meshed.pixels)
                self.scores.setdefault(method.name, {})[condition.name] = restored.scores
                names = condition.name, method.name
                self.likeness.append(likeness(clean, meshed, restored.pixels, restored.masks, names))
                self._verify(restored.pixels, *names)
                if method.name == self.sheet_of:
                    self._show(clean, meshed, restored, number)

    def _verify(self, pixels: ImageArray, condition: str, method: str) -> None:
        """A row of each recogniser."""
        bases = {recogniser.name: recogniser for recogniser in self.recognisers}
        for recogniser in self.recognisers:
            base = bases[recogniser.recogniser]
            row = recogniser.verified(pixels, condition, method, base)
            self.verified.append(row)
            tars = ", ".join(f"{rate.tar:.4f} at {rate.far:g}" for rate in row.rates)
            print(
                f"{condition}, {method or 'no method'}, {recogniser.name}: TAR {tars}",
                file=sys.stderr,
                flush=True,
            )

    def _show(self, clean: ImageArray, meshed: Meshed, restored: Restored, number: int) -> None:
        """Keep this condition's turn of the examples."""
        for place in sheet_places(len(clean))[number :: len(self.conditions)]:
            self.triples.append((meshed.pixels[place], restored.pixels[place], clean[place]))

    def detectors(self) -> Iterator[Detector]:
        """What scores of networks find, on all clean crops; those of classical methods are no detectors."""
        for method in (m for m in self.methods if m.bytes):
            clean = take_off(method.remover, self.lfw.crops)
            yield detector(method.name, method.threshold, clean, self.scores[method.name])

    def costs(self) -> Iterator[MethodFacts]:
        """What methods cost."""
        picture = id_photo(self.lfw.crops[0])
        for m in self.methods:
            yield MethodFacts(m.name, m.sha256, m.bytes, m.parameters, milliseconds(m.timed, picture))

    def report(self) -> MeshReport:
        """All that was found, with detectors and costs measured now."""
        return MeshReport(
            protocol=(
                f"{self.lfw.trials.protocol}; the first picture of each pair carries the mesh, drawn on the aligned "
                f"112 px crop, then JPEG quality {JPEG_QUALITY[0]} to {JPEG_QUALITY[1]}, seeded by its name; every "
                f"reference is restored; {PLAN.replicates} bootstrap replicates over subjects, seed {PLAN.seed}"
            ),
            data_sha256=self.lfw.sha256,
            n_pairs=len(self.lfw.trials.pairs),
            recognisers=tuple(SystemUsed(f"{r.name}: {r.how}", r.used.weights) for r in self.recognisers),
            machine=this_machine(),
            methods=tuple(self.costs()),
            verified=tuple(self.verified),
            likeness=tuple(self.likeness),
            detectors=tuple(self.detectors()),
        )


def methods_of(named: Sequence[str], thresholds: Mapping[str, float], classical: bool = True) -> list[Method]:
    """Classical methods, then those of the command line: ``NAME`` of the zoo or ``NAME=PATH.onnx``."""
    found = list(classical_methods()) if classical else []
    for value in named:
        name, separator, path = value.partition("=")
        threshold = thresholds.get(name)
        found.append(graph_method(name, Path(path), threshold) if separator else zoo_method(name, threshold))
    unknown = set(thresholds) - {method.name for method in found}
    if unknown or len({method.name for method in found}) < len(found):
        raise SystemExit(
            f"expected methods with names of their own, and thresholds for them; got {list(named)}, {unknown}"
        )
    return found


def main() -> None:
    arguments = _arguments()
    thresholds = {name: float(value) for name, _, value in (t.partition("=") for t in arguments.threshold)}
    methods = methods_of(arguments.method, thresholds, not arguments.no_classical)
    lfw = read_lfw(arguments.lfw, arguments.pairs)
    recognisers = [Recogniser(name, lfw, cache=arguments.cache) for name in arguments.recogniser]
    for value in arguments.mesh_trained:
        name, _, base = value.partition("=")
        if base not in arguments.recogniser:
            raise SystemExit(f"expected NAME=BASE with a --recogniser as base, got {value!r}")
        recognisers.append(Recogniser(name, lfw, base, arguments.cache))
    conditions = [c for c in CONDITIONS if c.name in (arguments.condition or [c.name])]
    run = Run(lfw, methods, recognisers, conditions, methods[-1].name if arguments.sheet else "")
    run.measure()
    report = run.report()
    print(text(report))
    write_atomic(arguments.json, dump_report(report).encode())
    write_atomic(arguments.json.with_suffix(".md"), markdown(report).encode())
    if arguments.html:
        write_atomic(arguments.html, html(report).encode())
    if arguments.sheet:
        before, after, clean = (np.stack(pictures) for pictures in zip(*run.triples, strict=True))
        write_atomic(arguments.sheet, sheet(before, after, clean))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Verification under mesh, with every way of taking it off")
    parser.add_argument("--lfw", type=Path, required=True, help="pairs.txt and the zip of aligned crops")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--html", type=Path)
    parser.add_argument("--sheet", type=Path, help="JPEG of 40 examples of the last method: people of LFW")
    parser.add_argument(
        "--method", action="append", default=[], help="NAME of the zoo, or NAME=PATH.onnx; may be repeated"
    )
    parser.add_argument("--no-classical", action="store_true", help="networks alone")
    parser.add_argument("--threshold", action="append", default=[], help="NAME=SCORE of a method's detector")
    parser.add_argument("--recogniser", action="append", required=True, help="model; may be repeated")
    parser.add_argument(
        "--mesh-trained", action="append", default=[], help="NAME=BASE: model trained under mesh from BASE"
    )
    parser.add_argument(
        "--cache", type=Path, help="folder that keeps vectors of crops, for a run that goes on"
    )
    parser.add_argument(
        "--condition",
        action="append",
        choices=[c.name for c in CONDITIONS],
        help="may be repeated; default all",
    )
    parser.add_argument("--pairs", type=int, default=0, help="so many pairs for a quick run; 0 is all")
    return parser.parse_args()


if __name__ == "__main__":
    main()
