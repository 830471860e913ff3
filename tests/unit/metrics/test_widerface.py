import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineament.metrics import widerface as w


def xyxy(rows):
    boxes = np.array(rows, np.float32).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def picture(found, truth, kept):
    found = np.array(found, np.float32).reshape(-1, 5)
    counted = np.array([i in kept for i in range(len(truth))], bool)
    return w.WiderPicture(xyxy(found[:, :4]), found[:, 4].copy(), xyxy(truth), counted)


GOLDEN = (
    picture(
        [
            (12, 12, 40, 40, 0.9),
            (11, 11, 40, 40, 0.8),
            (200, 10, 8, 8, 0.7),
            (300, 300, 20, 20, 0.6),
            (101, 9, 40, 40, 0.5),
        ],
        [(10, 10, 40, 40), (100, 10, 40, 40), (200, 10, 8, 8)],
        {0, 1},
    ),
    picture([(70, 70, 30, 30, 0.85), (52, 51, 30, 30, 0.4)], [(50, 50, 30, 30)], {0}),
    picture([(5, 5, 20, 20, 0.95)], [], set()),
)


def test_golden_example():
    curve = w.wider_curve(GOLDEN)
    assert curve.n_faces == 3
    assert (curve.proposals[-1], curve.hits[-1]) == (6, 3)
    assert w.wider_average_precision(curve) == pytest.approx(2 / 3, abs=1e-4)


def test_a_face_outside_the_subset_would_otherwise_be_a_false_detection():
    first = GOLDEN[0]
    without = w.WiderPicture(first.boxes, first.scores, first.truth[:2], first.counted[:2])
    curve = w.wider_curve((without, *GOLDEN[1:]))
    assert (curve.proposals[-1], curve.hits[-1]) == (7, 3)


def slow_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    shared = max(width, 0) * max(height, 0)
    areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
    return shared / (areas[0] + areas[1] - shared)


def slow_average_precision(pictures):
    """The steps of the tool, one after the other."""
    low = min(float(s) for p in pictures for s in p.scores)
    high = max(float(s) for p in pictures for s in p.scores)
    totals = np.zeros((1000, 2))
    n_faces = 0
    for p in pictures:
        n_faces += int(p.counted.sum())
        if len(p.truth) == 0 or len(p.scores) == 0:
            continue
        scores = [(float(s) - low) / ((high - low) or 1) for s in p.scores]
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        state = ["free" if c else "ignored" for c in p.counted]
        proposal, found, ranked = [], [], []
        for i in order:
            overlaps = [slow_iou(p.boxes[i].astype(float), t.astype(float)) for t in p.truth]
            g = overlaps.index(max(overlaps))
            counts = True
            if overlaps[g] >= 0.5:
                if state[g] == "ignored":
                    counts = False
                else:
                    state[g] = "found"
            proposal.append(counts)
            found.append(state.count("found"))
            ranked.append(scores[i])
        for k in range(1, 1001):
            taken = [j for j, s in enumerate(ranked) if s >= 1 - k / 1000]
            if taken:
                totals[k - 1] += (sum(proposal[: taken[-1] + 1]), found[taken[-1]])
    recall = [0.0, *(totals[:, 1] / n_faces), 1.0]
    precision = [0.0, *(h / max(n, 1) for n, h in totals), 0.0]
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((recall[i + 1] - recall[i]) * precision[i + 1] for i in range(len(recall) - 1))


@st.composite
def sets(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pictures = []
    for _ in range(draw(st.integers(1, 3))):
        truth = [(*rng.integers(0, 9, 2), *rng.integers(2, 8, 2)) for _ in range(draw(st.integers(0, 3)))]
        found = [
            (*rng.integers(0, 9, 2), *rng.integers(2, 8, 2), rng.integers(0, 7) / 8)
            for _ in range(draw(st.integers(0, 5)))
        ]
        kept = {i for i in range(len(truth)) if rng.random() < 0.7}
        pictures.append(picture(found, truth, kept))
    return pictures


@settings(max_examples=60, deadline=None)
@given(sets())
def test_equals_the_steps_of_the_tool(pictures):
    if not any(p.counted.any() for p in pictures):
        with pytest.raises(ValueError, match="at least one face"):
            w.wider_curve(pictures)
        return
    result = w.wider_average_precision(w.wider_curve(pictures))
    if any(len(p.scores) for p in pictures):
        assert result == pytest.approx(slow_average_precision(pictures), abs=1e-12)
    else:
        assert result == 0
    assert 0 <= result <= 1


def test_truth_against_itself_is_perfect_and_nothing_is_zero():
    perfect = [w.WiderPicture(p.truth, np.ones(len(p.truth), np.float32), p.truth, p.counted) for p in GOLDEN]
    assert w.wider_average_precision(w.wider_curve(perfect)) == 1.0
    empty = np.zeros((0, 4), np.float32)
    nothing = [w.WiderPicture(empty, np.zeros(0, np.float32), p.truth, p.counted) for p in GOLDEN]
    assert w.wider_average_precision(w.wider_curve(nothing)) == 0.0


def test_stretching_all_scores_changes_nothing():
    stretched = [w.WiderPicture(p.boxes, p.scores * 8 - 3, p.truth, p.counted) for p in GOLDEN]
    assert w.wider_curve(stretched).hits.tolist() == w.wider_curve(GOLDEN).hits.tolist()


def test_counted_must_fit_the_truth():
    with pytest.raises(ValueError, match="counted must be"):
        w.WiderPicture(GOLDEN[0].boxes, GOLDEN[0].scores, GOLDEN[0].truth, np.ones(2, bool))
