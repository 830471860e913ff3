"""Are the figures of a report right? Computed anew from its scores, with scikit-learn and NumPy and none of Lineament.

For each system of the report: accuracy over the folds (threshold learned on the others among the candidates of
scikit-learn's ROC; the median of those that are equally good), EER, AUC and TAR at FAR 1e-2 and 1e-3. The scores are
those that ``lineament evaluate verification --scores`` writes: with ``--data`` it is run anew, as a process of its own,
for every embedder of the report; with ``--scores`` they are those of the report's own run. Fails (exit code 1) when a
figure differs by more than 0.1 points, or when scores and report are not of the same comparisons.

    python -m benchmarks.independent_check reports/lfw-view2.json --data lfw_aligned112 \
        --json reports/independent-check.json
"""

import argparse
import csv
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve  # type: ignore[import-untyped]

LIMIT_POINTS = 0.1
RATES = (1e-2, 1e-3)
SINGLE = "score"


@dataclass(frozen=True, slots=True)
class Scores:
    """Comparisons of one system that were made."""

    scores: NDArray[np.float64]
    mated: NDArray[np.bool_]
    folds: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure as it was reported and as it was computed anew, fractions."""

    figure: str
    reported: float
    computed: float

    @property
    def points(self) -> float:
        """Difference in percentage points."""
        return 100 * abs(self.reported - self.computed)


def read_system(rows: list[dict[str, str]], column: str) -> Scores:
    """Comparisons with a similarity; those with a refused picture have none."""
    made = [row for row in rows if row[column]]
    return Scores(
        np.array([float(row[column]) for row in made]),
        np.array([row["label"] == "1" for row in made]),
        np.array([int(row["fold"]) for row in made]),
    )


def fold_accuracy(found: Scores) -> float:
    """Mean accuracy of the folds, each at the threshold that is best on the others."""
    right = []
    for fold in np.unique(found.folds):
        train, test = found.folds != fold, found.folds == fold
        mated, nonmated = np.sum(found.mated[train]), np.sum(~found.mated[train])
        fpr, tpr, thresholds = roc_curve(found.mated[train], found.scores[train], drop_intermediate=False)
        count = np.rint(tpr * mated + (1 - fpr) * nonmated)
        threshold = np.median(thresholds[count == count.max()])
        right.append(np.mean((found.scores[test] >= threshold) == found.mated[test]))
    return float(np.mean(right))


def compute(found: Scores) -> dict[str, float]:
    """All figures of a system."""
    fpr, tpr, _ = roc_curve(found.mated, found.scores, drop_intermediate=False)
    equal = np.argmin(np.abs(fpr - (1 - tpr)))
    return {
        "accuracy": fold_accuracy(found),
        "EER": float(fpr[equal] + 1 - tpr[equal]) / 2,
        "AUC": float(roc_auc_score(found.mated, found.scores)),
        **{f"TAR at FAR {rate:g}": float(tpr[fpr <= rate].max()) for rate in RATES},
    }


def reported(report: dict[str, Any]) -> dict[str, float]:
    """The same figures as a report states them, as far as it does."""
    folds = {"accuracy": report["folds"]["accuracy"]} if report["folds"] else {}
    tars = {f"TAR at FAR {point['asked']:g}": 1 - point["fnmr"] for point in report["points"]}
    return {**folds, "EER": report["eer"], "AUC": report["auc"], **tars}


def check(rows: list[dict[str, str]], report: dict[str, Any]) -> list[Compared]:
    """Every figure that the report states for one system."""
    name = report["system"]["name"]
    column = name if name in rows[0] else SINGLE
    if column not in rows[0]:
        raise SystemExit(
            f"expected a column {name!r} or {SINGLE!r} in the scores, found {', '.join(rows[0])}"
        )
    found = read_system(rows, column)
    counts = int(found.mated.sum()), int((~found.mated).sum())
    stated = report["n_mated_compared"], report["n_nonmated_compared"]
    if counts != stated:
        raise SystemExit(
            f"{name}: mated and non-mated comparisons are {counts} in the scores, {stated} in the report"
        )
    anew = compute(found)
    return [Compared(figure, value, anew[figure]) for figure, value in reported(report).items()]


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fresh_rows(reports: list[dict[str, Any]], data: Path) -> list[dict[str, str]]:
    """Scores of every embedder of the reports, made by the command line."""
    with TemporaryDirectory() as folder:
        scores = Path(folder) / "scores.csv"
        command = [sys.executable, "-m", "lineament", "evaluate", "verification"]
        command += ["--data", str(data), "--scores", str(scores)]
        for report in reports:
            command += ["--model", report["system"]["name"]]
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        if done.returncode:
            raise SystemExit(
                f"the scores could not be made: exit code {done.returncode} of {' '.join(command)}"
            )
        return read_rows(scores)


def main() -> int:
    arguments = _arguments()
    reports = json.loads(arguments.report.read_text(encoding="utf-8"))
    rows = read_rows(arguments.scores) if arguments.scores else fresh_rows(reports, arguments.data)
    if SINGLE in rows[0] and len(reports) > 1:
        raise SystemExit(f"the scores are of one system, the report of {len(reports)}: give those of one run")
    systems = {report["system"]["name"]: check(rows, report) for report in reports}
    worst = max(one.points for found in systems.values() for one in found)
    for name, found in systems.items():
        print(f"{name}\n  {'figure':<18}{'report':>12}{'anew':>12}{'points':>10}")
        for one in found:
            mark = "" if one.points <= LIMIT_POINTS else "  DIFFERS"
            print(f"  {one.figure:<18}{one.reported:>12.6f}{one.computed:>12.6f}{one.points:>10.4f}{mark}")
    print(f"largest difference {worst:.4f} points, {LIMIT_POINTS} allowed")
    if arguments.json:
        document = {
            "definition": __doc__,
            "report": arguments.report.name,
            "limit_points": LIMIT_POINTS,
            "largest_difference_points": worst,
            "comparisons": len(rows),
            "versions": {package: version(package) for package in ("scikit-learn", "numpy")},
            "systems": {
                name: [asdict(one) | {"difference_points": one.points} for one in found]
                for name, found in systems.items()
            },
        }
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return int(worst > LIMIT_POINTS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.independent_check", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("report", type=Path, help="JSON that evaluate verification --report wrote")
    scores = parser.add_mutually_exclusive_group(required=True)
    scores.add_argument("--data", type=Path, help="folder of aligned LFW crops, to make the scores from")
    scores.add_argument("--scores", type=Path, help="CSV that --scores wrote in the run of the report")
    parser.add_argument("--json", type=Path, help="write both sides there")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
