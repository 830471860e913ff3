"""Do thresholds keep the rates that they promise? Measured on people that they were not fitted on.

The people of LFW (aligned crops) are split in two halves, many times. One half gives the threshold of an asked false
match rate with its 95 % interval, as a calibration record states it (every pair once, percentile bootstrap over
subjects); the other half gives the threshold that would have kept the rate there.

A split *meets* its rate when the thresholds of both halves differ by no more than their intervals allow together:
with the half-widths on the sides that face each other, ``|t_a - t_b| <= hypot(w_a, w_b)``. Both halves are samples of
people, so both errors count; 95 of 100 splits should meet. ``inside`` is the stricter count of ``t_b`` inside the
interval of ``t_a`` alone; as ``t_b`` errs as much as ``t_a``, honest intervals give about 83 of 100.

``few_people`` counts how often the interval from a handful of people with two or more pictures each holds the
threshold of all such people, again 95 of 100 when intervals are honest.

Then FPIR by gallery size: thresholds of one half for an asked FPIR, galleries and strangers of the other half; and
drawn vectors with the mean and covariance of the real ones, in galleries of up to a million.

``bars`` says for each embedder whether at least 90 of 100 splits meet each FMR, and the intervals of few people hold
as often; whether FPIR is flat, that is within 20 % of its mean over the sizes of each kind of gallery, real and drawn;
and, which asks for more, whether it is within 20 % of the asked rate in every gallery. An embedder to whom some people
look like many others keeps below the asked rate, as the rule takes comparisons for independent.

The report is written after each embedder; one that is in it already, from the same weights and settings, is not
measured again.

    python -m benchmarks.calibration_honesty --data lfw_aligned112 --cache cache --json reports/calibration-honesty.json
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ScoreArray
from lineament.embedding import load_embedder
from lineament.embedding.rewarped import RewarpedEmbedder
from lineament.evaluation.machine import this_machine
from lineament.evaluation.protocols import pictures_of, weights_of
from lineament.evaluation.samples import all_pair_scores, embed_crops
from lineament.evaluation.sets import PictureSource
from lineament.geometry import ARCFACE_112
from lineament.metrics.bootstrap import Resampling, bootstrap_fnmr_at_fmr, percentile_interval
from lineament.metrics.verification import allowed_errors
from lineament.zoo.calibration import MIN_FALSE_MATCHES, fmr_for_fpir
from lineament.zoo.session import Precision, Runtime

MODELS = ("mobilefacenet", "edgeface-xs", "edgeface-xxs", "dlib-resnet+flip", "dlib-resnet+flip bf16")
"""Every embedder with a calibration record or a report, its precision after a space where it is not f32."""
MEETS_SHARE = 0.9
FPIR_TOLERANCE = 0.2
FMRS = (1e-2, 1e-3)
FPIRS = (0.1, 0.01)
GALLERIES = (1000, 1500, 2000, 2500, 3000)
HEAD_SHARE, FEW_HEAD_SHARE = 0.06, 0.5
"""Of few people, a bootstrap may weigh up some whose pairs are all alike: more of the pairs must be kept."""
FEW_PEOPLE = (30, 60, 150, 300)
SEED = 7
CALIBRATION_VECTORS, PROBES, LARGEST, DRAWN_FPIR = 60_000, 10_000, 1_000_000, 0.05
CHUNK = 10_000

IndexArray = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The most similar non-mated pairs, falling, and how many samples each subject has."""

    scores: ScoreArray
    a: IndexArray
    b: IndexArray
    samples: NDArray[np.int64]

    def of(self, chosen: NDArray[np.bool_]) -> "Head":
        """The pairs of the chosen subjects, and their counts."""
        keep = chosen[self.a] & chosen[self.b]
        return Head(self.scores[keep], self.a[keep], self.b[keep], np.where(chosen, self.samples, 0))

    def total(self, weights: NDArray[np.int64]) -> int:
        """Weight of all non-mated pairs, those below the head too."""
        each = weights * self.samples
        return (int(each.sum()) ** 2 - int((each**2).sum())) // 2

    def thresholds(self, weights: NDArray[np.int64], rates: tuple[float, ...]) -> list[float]:
        """Smallest non-mated score of positive weight whose weighted rate does not exceed each rate."""
        small = weights.astype(np.int32)
        weight = small[self.a] * small[self.b]
        running, total = np.cumsum(weight, dtype=np.int64), self.total(weights)
        found = []
        for rate in rates:
            place = int(np.searchsorted(running, allowed_errors(rate, total), side="right"))
            if place >= len(running):
                raise ValueError(f"the head of {len(running):,} pairs is too short for a rate of {rate:g}")
            above = np.flatnonzero((weight[:place] > 0) & (self.scores[:place] > self.scores[place]))
            found.append(float(self.scores[above[-1]]) if len(above) else float("inf"))
        return found


def embeddings(model: str, data: Path, cache: Path) -> tuple[FloatArray, IndexArray]:
    """Unit vectors of all crops and the number of each one's person; made once."""
    kept = cache / f"{model}.npz"
    if not kept.exists():
        with PictureSource(pictures_of(data)) as source:
            names = [n for n in source.names() if n.endswith(".jpg")]
            name, _, precision = model.partition(" ")
            embedder = load_embedder(name, Runtime(precision=cast("Precision", precision or "f32")))
            aligned = embedder.template == ARCFACE_112.name
            crops = embedder if aligned else RewarpedEmbedder(embedder)
            found = embed_crops(names, source, crops, ARCFACE_112.size_px)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(kept, vectors=found.vectors, names=np.array(names))
    with np.load(kept) as file:
        people = [str(n).split("/")[0] for n in file["names"]]
        return file["vectors"], np.unique(people, return_inverse=True)[1].astype(np.int32)


def head_of(vectors: FloatArray, subjects: IndexArray, share: float = HEAD_SHARE) -> Head:
    pairs = all_pair_scores(vectors, subjects)
    different = pairs.scores[~pairs.mated]
    # A sample of many pairs says where the head begins as well as all of them.
    limit = np.quantile(different[:: max(1, len(different) // 300_000)], 1 - share)
    keep = np.flatnonzero((pairs.scores >= limit) & ~pairs.mated)
    keep = keep[np.argsort(-pairs.scores[keep], kind="stable")]
    return Head(pairs.scores[keep], pairs.subject_a[keep], pairs.subject_b[keep], np.bincount(subjects))


def stated(
    head: Head, people: NDArray[np.int64], plan: Resampling, rates: tuple[float, ...] = FMRS
) -> list[tuple[float, float, float]]:
    """Threshold with its interval for each rate, from the same draws as a record's bootstrap."""
    chosen = np.zeros(len(head.samples), np.bool_)
    chosen[people] = True
    half = head.of(chosen)
    exact = half.thresholds(chosen.astype(np.int64), rates)
    rng = np.random.default_rng(plan.seed)
    draws = []
    even = np.full(len(people), 1 / len(people))
    for _ in range(plan.replicates):
        weights = np.zeros(len(head.samples), np.int64)
        weights[np.sort(people)] = rng.multinomial(len(people), even)
        draws.append(half.thresholds(weights, rates))
    columns = np.array(draws).T
    around = [percentile_interval(column) for column in columns]
    return [(t, i.low, i.high) for t, i in zip(exact, around, strict=True)]


def check_against_product(
    vectors: FloatArray, subjects: IndexArray, head: Head, every: int, plan: Resampling
) -> float:
    """Largest difference to the bounds of the library's own bootstrap, for every n-th of the people."""
    people = np.arange(0, len(head.samples), every)
    mine = np.isin(subjects, people)
    theirs = bootstrap_fnmr_at_fmr(all_pair_scores(vectors[mine], subjects[mine]), FMRS, plan)
    ours = stated(head, people, plan)
    bounds = [theirs.threshold_interval(k) for k in range(len(FMRS))]
    return max(
        max(abs(low - i.low), abs(high - i.high)) for (_, low, high), i in zip(ours, bounds, strict=True)
    )


def fmr_splits(head: Head, splits: int, plan: Resampling) -> list[dict[str, Any]]:
    """How often the rate is met on the other half, for each rate."""
    rng = np.random.default_rng(SEED)
    rows: list[list[tuple[bool, bool, float]]] = [[] for _ in FMRS]
    for _ in range(splits):
        order = rng.permutation(len(head.samples))
        halves = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
        first, second = (stated(head, people, plan) for people in halves)
        chosen = np.zeros(len(head.samples), np.bool_)
        chosen[halves[1]] = True
        other = head.of(chosen)
        total = other.total(chosen.astype(np.int64))
        for k, ((t_a, low_a, high_a), (t_b, low_b, high_b)) in enumerate(zip(first, second, strict=True)):
            allowed = (
                np.hypot(high_a - t_a, t_b - low_b) if t_b > t_a else np.hypot(t_a - low_a, high_b - t_b)
            )
            reached = np.count_nonzero(other.scores >= t_a) / total
            rows[k].append((bool(abs(t_a - t_b) <= allowed), bool(low_a <= t_b <= high_a), reached))
    return [
        {
            "asked_fmr": rate,
            "splits": splits,
            "replicates": plan.replicates,
            "meets": sum(r[0] for r in of_rate),
            "inside": sum(r[1] for r in of_rate),
            "measured_over_asked": quantiles([r[2] / rate for r in of_rate]),
        }
        for rate, of_rate in zip(FMRS, rows, strict=True)
    ]


def few_people(
    vectors: FloatArray, subjects: IndexArray, head: Head, trials: int, plan: Resampling
) -> list[dict[str, Any]]:
    """How often the interval of the largest rate, from few people, holds the threshold of many."""
    rng = np.random.default_rng(SEED + 3)
    pool = np.flatnonzero(head.samples >= 2)
    chosen = np.zeros(len(head.samples), np.bool_)
    chosen[pool] = True
    truth = head.of(chosen).thresholds(chosen.astype(np.int64), FMRS)[0]
    rows = []
    for count in FEW_PEOPLE:
        bounds = []
        for _ in range(trials):
            people = rng.choice(pool, count, replace=False)
            mine = np.isin(subjects, people)
            own = head_of(vectors[mine], subjects[mine], FEW_HEAD_SHARE)
            bounds.append(stated(own, people, plan, FMRS[:1])[0])
        held = sum(low <= truth <= high for _, low, high in bounds)
        rows.append({"people": count, "asked_fmr": FMRS[0], "trials": trials, "holds": held})
    return rows


def quantiles(values: list[float]) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return {"low": float(low), "median": float(middle), "high": float(high)}


def fpir_by_size(vectors: FloatArray, subjects: IndexArray, head: Head, splits: int) -> list[dict[str, Any]]:
    """FPIR of galleries of other people at thresholds from the rule; one sample each, and all samples."""
    rng = np.random.default_rng(SEED + 1)
    similarities = vectors @ vectors.T
    found: dict[tuple[str, float, int], list[float]] = {}
    for _ in range(splits):
        order = rng.permutation(len(head.samples))
        chosen = np.zeros(len(order), np.bool_)
        chosen[order[: len(order) // 2]] = True
        half, ones = head.of(chosen), chosen.astype(np.int64)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        later = np.argsort(place[subjects], kind="stable")
        later = later[~chosen[subjects[later]]]
        singles = later[np.unique(place[subjects[later]], return_index=True)[1]]
        for kind, row in (("one sample", singles), ("all samples", later)):
            for size in GALLERIES:
                gallery = row[:size]
                strangers = later[~np.isin(subjects[later], subjects[gallery])]
                if len(gallery) < size or len(strangers) < 500:
                    continue
                tops = similarities[np.ix_(strangers, gallery)].max(axis=1)
                for asked in FPIRS:
                    rate = fmr_for_fpir(asked, size, len(np.unique(subjects[gallery])))
                    if rate * half.total(ones) >= MIN_FALSE_MATCHES:
                        threshold = half.thresholds(ones, (rate,))[0]
                        found.setdefault((kind, asked, size), []).append(float(np.mean(tops >= threshold)))
    return [
        {
            "gallery": kind,
            "templates": size,
            "asked_fpir": asked,
            "splits": len(values),
            "mean_fpir": float(np.mean(values)),
            "over_asked": float(np.mean(values)) / asked,
        }
        for (kind, asked, size), values in sorted(found.items())
    ]


def drawn(count: int, like: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Unit vectors, one a person, from the normal distribution with the mean and covariance of ``like``."""
    middle = like.mean(axis=0)
    mix = np.linalg.cholesky(np.cov(like.T) + 1e-9 * np.eye(like.shape[1])).T.astype(np.float32)
    raw = rng.standard_normal((count, like.shape[1]), dtype=np.float32) @ mix + middle
    return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), np.float32)


def drawn_threshold(vectors: FloatArray, rates: list[float]) -> list[float]:
    """Exact thresholds over every pair once; only the largest similarities of each block are kept."""
    total = len(vectors) * (len(vectors) - 1) // 2
    want = allowed_errors(max(rates), total) + 1
    best = np.zeros(0, np.float32)
    for start in range(0, len(vectors), 2000):
        rows = vectors[start : start + 2000]
        block = rows @ vectors[start:].T
        block[np.tril_indices(len(rows), 0, block.shape[1])] = -2
        floor = best.min() if len(best) >= want else -1.0
        best = np.concatenate([best, block[block > floor]])
        if len(best) > want:
            best = np.partition(best, len(best) - want)[-want:]
    falling = np.sort(best)[::-1]
    return [float(falling[allowed_errors(rate, total) - 1]) for rate in rates]


def drawn_fpir(like: FloatArray, largest: int) -> list[dict[str, Any]]:
    """FPIR of drawn galleries, one template a person, with thresholds of other drawn people."""
    rng = np.random.default_rng(SEED + 2)
    sizes = [n for n in (1000, 10_000, 100_000, 1_000_000) if n <= largest]
    rates = [fmr_for_fpir(DRAWN_FPIR, n, n) for n in sizes]
    thresholds = drawn_threshold(drawn(CALIBRATION_VECTORS, like, rng), rates)
    probes = drawn(PROBES, like, rng)
    tops, rows, done = np.full(PROBES, -1.0, np.float32), [], 0
    for size, threshold in zip(sizes, thresholds, strict=True):
        while done < size:
            part = drawn(min(CHUNK, size - done), like, rng)
            for start in range(0, PROBES, 2000):
                found = (probes[start : start + 2000] @ part.T).max(axis=1)
                np.maximum(tops[start : start + 2000], found, out=tops[start : start + 2000])
            done += len(part)
        reached = float(np.mean(tops >= threshold))
        rows.append(
            {
                "templates": size,
                "asked_fpir": DRAWN_FPIR,
                "fpir": reached,
                "over_asked": reached / DRAWN_FPIR,
                "standard_error": float(np.sqrt(reached * (1 - reached) / PROBES)),
            }
        )
    return rows


def bars(result: dict[str, Any]) -> dict[str, bool]:
    """What the promise of an embedder's thresholds comes to."""
    splits = [row["meets"] / row["splits"] for row in result["fmr"]]
    held = [row["holds"] / row["trials"] for row in result["few_people"]]
    kinds: dict[tuple[str, float], list[float]] = {}
    for row in (*result["fpir"], *result["fpir_drawn"]):
        kinds.setdefault((row.get("gallery", "drawn"), row["asked_fpir"]), []).append(row["over_asked"])
    every = [value for values in kinds.values() for value in values]
    return {
        "fmr_met_in_90_of_100_splits": min(splits) >= MEETS_SHARE,
        "few_people_held_in_90_of_100_draws": min(held) >= MEETS_SHARE,
        "fpir_flat_within_20_percent": all(
            _near(values, sum(values) / len(values)) for values in kinds.values()
        ),
        "fpir_within_20_percent_of_asked": _near(every, 1.0),
    }


def _near(values: list[float], middle: float) -> bool:
    return all(abs(value / middle - 1) <= FPIR_TOLERANCE for value in values)


def measure(model: str, data: Path, cache: Path, settings: dict[str, int]) -> dict[str, Any]:
    """All figures of one embedder."""
    vectors, subjects = embeddings(model, data, cache)
    head, plan, splits = head_of(vectors, subjects), Resampling(settings["replicates"]), settings["splits"]
    return {
        "weights": weights_json(model),
        "settings": settings,
        "images": len(vectors),
        "people": len(head.samples),
        "largest_difference_to_library_interval": check_against_product(vectors, subjects, head, 8, plan),
        "fmr": fmr_splits(head, splits, plan),
        "few_people": few_people(vectors, subjects, head, splits, plan),
        "fpir": fpir_by_size(vectors, subjects, head, splits),
        "fpir_drawn": drawn_fpir(vectors, settings["largest"]),
    }


def weights_json(model: str) -> list[dict[str, str]]:
    return [asdict(used) for used in weights_of(model.partition(" ")[0])]


def facts(data: Path) -> dict[str, Any]:
    """What the figures are about, and what they were made with."""
    with PictureSource(pictures_of(data)) as source:
        digest = source.digest([n for n in source.names() if n.endswith(".jpg")])
    return {
        "definition": __doc__,
        "data": {"name": data.name, "digest": digest},
        "seed": SEED,
        "machine": asdict(this_machine()),
        "models": {},
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="Do thresholds keep the rates that they promise?")
    parser.add_argument("--data", type=Path, required=True, help="folder with the aligned LFW crops")
    parser.add_argument("--cache", type=Path, required=True, help="folder for embeddings")
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--largest", type=int, default=LARGEST, help="largest drawn gallery")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    settings = {"splits": args.splits, "replicates": args.replicates, "largest": args.largest}
    report = facts(args.data)
    known = json.loads(args.json.read_text()) if args.json and args.json.is_file() else {}
    for model in MODELS:
        result = known["models"].get(model, {}) if known.get("data") == report["data"] else {}
        if (result.get("settings"), result.get("weights")) != (settings, weights_json(model)):
            result = measure(model, args.data, args.cache, settings)
        result = {"bars": bars(result)} | {key: value for key, value in result.items() if key != "bars"}
        report["models"][model] = result
        print(model, json.dumps(result, indent=1), flush=True)
        if args.json:
            args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
