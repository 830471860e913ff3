"""Rates by group against slow counts, and which statements about groups are withheld."""

import math
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.evaluation.comparisons import LabelledScores
from lineament.evaluation.groups import group_report, read_groups
from lineament.evaluation.pairlists import LabelledPairs
from lineament.evaluation.peoplefolder import People, people_pairs
from lineament.metrics.bootstrap import Resampling
from lineament.metrics.verification import tar_at_far_protocol

PLAN = Resampling(100, seed=2)
PEOPLE = 40
GROUP = {i: ("a", "b", "c")[i % 3] for i in range(PEOPLE - 2)}
"""The last two people have no group."""


@pytest.fixture(scope="module")
def compared() -> tuple[LabelledPairs, LabelledScores, dict[str, str]]:
    """Every pair of pictures; strangers of group b look alike."""
    subjects = tuple(f"P{i:02d}" for i in range(PEOPLE) for _ in range(3))
    samples = tuple(f"{s}/{k}.jpg" for k, s in enumerate(subjects))
    pairs = people_pairs(People(samples, subjects, "", ()), 0)
    number = pairs.subject_of_sample
    assert number is not None
    a, b = number[pairs.pairs].T
    both_b = np.array([GROUP.get(x) == GROUP.get(y) == "b" for x, y in zip(a, b, strict=True)])
    scores = (
        np.random.default_rng(0).standard_normal(len(a)) + 2.5 * pairs.mated + 1.0 * (both_b & ~pairs.mated)
    )
    group_of = {s: GROUP[int(p[1:])] for s, p in zip(samples, subjects, strict=True) if int(p[1:]) in GROUP}
    return pairs, LabelledScores(scores, pairs.mated, a, b), group_of


def test_rates_by_group_equal_slow_counts(
    compared: tuple[LabelledPairs, LabelledScores, dict[str, str]],
) -> None:
    pairs, labelled, group_of = compared
    report = group_report(pairs, labelled, group_of, ("kind", 0.05), PLAN)
    same, different = labelled.scores[pairs.mated], labelled.scores[~pairs.mated]
    assert report.threshold == tar_at_far_protocol(same, different, 0.05).threshold
    assert report.n_without_group == 6
    assert [g.group for g in report.groups] == ["a", "b", "c"]
    rates = []
    for row in report.groups:
        inside = [
            (score, mated)
            for (x, y), score, mated in zip(pairs.pairs, labelled.scores, pairs.mated, strict=True)
            if group_of.get(pairs.samples[x]) == group_of.get(pairs.samples[y]) == row.group
        ]
        mates = [score for score, mated in inside if mated]
        others = [score for score, mated in inside if not mated]
        assert (row.n_mated, row.n_nonmated) == (len(mates), len(others))
        assert row.fnmr == pytest.approx(sum(s < report.threshold for s in mates) / len(mates))
        assert row.fmr == pytest.approx(sum(s >= report.threshold for s in others) / len(others))
        assert row.fmr_low is not None
        assert row.fmr_high is not None
        assert row.fmr_low <= (row.fmr or 0) <= row.fmr_high
        rates.append(row.fmr or 0.0)
    assert rates[1] == max(rates)
    assert report.fmr_max_over_mean == pytest.approx(max(rates) / math.prod(rates) ** (1 / 3))


def test_one_threshold_bounds_every_group(
    compared: tuple[LabelledPairs, LabelledScores, dict[str, str]],
) -> None:
    pairs, labelled, group_of = compared
    report = group_report(pairs, labelled, group_of, ("kind", 0.05), PLAN)
    bounded = report.bounded
    assert bounded is not None
    assert bounded.worst_group == "b"
    assert bounded.threshold > report.threshold
    assert bounded.fnmr > bounded.fnmr_before
    inside = np.array([group_of.get(s) == "b" for s in pairs.samples])[pairs.pairs].all(axis=1) & ~pairs.mated
    scores = labelled.scores[inside]
    assert np.mean(scores >= bounded.threshold) <= 0.05
    below = max(s for s in labelled.scores if s < bounded.threshold)
    assert np.mean(scores >= below) > 0.05  # no smaller threshold does
    assert "worst: b" in report.text()


def test_groups_that_keep_the_rate_already_do_not_lower_the_threshold() -> None:
    subjects = tuple(f"P{i:02d}" for i in range(PEOPLE) for _ in range(3))
    samples = tuple(f"{s}/{k}.jpg" for k, s in enumerate(subjects))
    pairs = people_pairs(People(samples, subjects, "", ()), 0)
    number = pairs.subject_of_sample
    assert number is not None
    a, b = number[pairs.pairs].T
    across = a % 2 != b % 2  # strangers of different groups look alike
    scores = np.random.default_rng(0).standard_normal(len(a)) + 2.5 * pairs.mated + 1.0 * across
    group_of = {s: "ab"[int(p[1:]) % 2] for s, p in zip(samples, subjects, strict=True)}
    report = group_report(pairs, LabelledScores(scores, pairs.mated, a, b), group_of, ("kind", 0.05), PLAN)
    assert all((group.fmr or 0) < 0.05 for group in report.groups)
    bounded = report.bounded
    assert bounded is not None
    assert bounded.threshold == report.threshold
    assert bounded.fnmr == bounded.fnmr_before
    assert bounded.fmr <= 0.05


def test_small_groups_are_not_judged(
    compared: tuple[LabelledPairs, LabelledScores, dict[str, str]],
) -> None:
    pairs, labelled, group_of = compared
    few = {s: ("tiny" if s.startswith(("P00", "P03")) else "big") for s in group_of}
    report = group_report(pairs, labelled, few, ("size", 0.02), PLAN)
    assert report.bounded is not None
    assert report.bounded.left_out == ("tiny",)
    assert report.fmr_max_over_mean is None
    assert "no false match was seen in tiny" in report.ratio_note
    tiny = report.groups[1]
    assert (tiny.n_subjects, tiny.n_nonmated, tiny.fmr, tiny.fmr_low) == (2, 9, 0, 0)
    assert tiny.fmr_high == pytest.approx(1 - 0.025 ** (1 / 2))
    with pytest.raises(DataError, match="need mated comparisons and 1,000,000 non-mated"):
        group_report(pairs, labelled, few, ("size", 1e-5), PLAN)


SAMPLES = {"Ada/1.jpg": "Ada", "Ada/2.jpg": "Ada", "Bob/1.jpg": "Bob"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("person,sex\nAda,f\nBob,m\nCy,m\n", {"Ada/1.jpg": "f", "Ada/2.jpg": "f", "Bob/1.jpg": "m"}),
        ("file,sex\nAda/1.jpg,f\nBob/1.jpg,\n", {"Ada/1.jpg": "f"}),
        ("identity,file,sex\nAda,2.jpg,f\nBob,Bob/1.jpg,m\n", {"Ada/2.jpg": "f", "Bob/1.jpg": "m"}),
    ],
)
def test_groups_of_people_or_files(tmp_path: Path, text: str, expected: dict[str, str]) -> None:
    path = tmp_path / "g.csv"
    path.write_text(text)
    assert read_groups(path, "sex", SAMPLES) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("person,age\nAda,3\n", "expected a column 'sex', found person, age"),
        ("who,sex\nAda,f\n", r"found who \(like 'Ada'\)"),
        ("person,sex\nAda,f\nAda,m\n", r"two values of 'sex' \(1 of 2 rows: line 3\)"),
        ("person,sex\nZoe,f\n", r"none of 3 pictures is named in column 'person'"),
        (
            "person,sex\n" + "".join(f"p{i},{i}\n" for i in range(201)),
            r"at most 200 groups, .* holds 201 values",
        ),
    ],
)
def test_faulty_group_files_are_explained(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "g.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_groups(path, "sex", SAMPLES)
