import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from lineament.metrics import detection as d

box = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@st.composite
def pictures(draw):
    truth = draw(st.lists(box, max_size=4))
    found = draw(st.lists(st.tuples(box, st.integers(0, 10)), max_size=6))
    ignored = draw(st.lists(st.booleans(), min_size=len(truth), max_size=len(truth)))
    return (
        np.array([b for b, _ in found], np.float32).reshape(-1, 4),
        np.array([s / 10 for _, s in found], np.float32),
        np.array(truth, np.float32).reshape(-1, 4),
        np.array(ignored, bool),
    )


def slow_iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def slow_match(boxes, scores, truth, ignored, t):
    free = [not i for i in ignored]
    out = [None] * len(boxes)
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        best = None
        for j in range(len(truth)):
            overlap = slow_iou(boxes[i], truth[j])
            if free[j] and overlap >= t and (best is None or overlap > slow_iou(boxes[i], truth[best])):
                best = j
        if best is not None:
            free[best], out[i] = False, best
        elif any(ig and slow_iou(boxes[i], g) >= t for ig, g in zip(ignored, truth, strict=True)):
            out[i] = d.IGNORED
        else:
            out[i] = d.FALSE_POSITIVE
    return out


@given(pictures(), st.sampled_from([0.25, 0.4, 0.5, 1.0]))
def test_matching_equals_a_plain_loop(picture, threshold):
    boxes, scores, truth, ignored = picture
    matching = d.match_detections(*picture, threshold)
    assert matching.assigned.tolist() == slow_match(
        boxes.astype(float), scores, truth.astype(float), ignored, threshold
    )
    hits = matching.assigned[matching.assigned >= 0]
    assert len(set(hits.tolist())) == len(hits) == matching.hit.sum()
    assert not matching.hit[ignored].any()


def test_duplicates_are_false_and_ignored_faces_swallow_detections():
    truth = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [50, 51, 60, 60]], np.float32)
    matching = d.match_detections(
        boxes, np.array([0.5, 0.9, 0.8, 0.7], np.float32), truth, np.array([False, True]), 0.5
    )
    assert matching.assigned.tolist() == [d.FALSE_POSITIVE, 0, d.IGNORED, d.IGNORED]


def curve_of(scores, hits, n_truth):
    assigned = np.where(hits, np.cumsum(hits) - 1, d.FALSE_POSITIVE).astype(np.int32)
    return d.precision_recall([d.Matching(np.asarray(scores, np.float32), assigned, np.ones(n_truth, bool))])


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=30))
def test_curve_agrees_with_scikit_learn(drawn):
    scores, hits = np.array([s / 8 for s, _ in drawn]), np.array([h for _, h in drawn])
    if not hits.any():
        return
    precision, recall, thresholds = precision_recall_curve(hits, scores)
    curve = curve_of(scores, hits, int(hits.sum()))
    np.testing.assert_allclose(curve.scores[::-1], thresholds)
    np.testing.assert_allclose(curve.precision[::-1], precision[:-1])
    np.testing.assert_allclose(curve.recall[::-1], recall[:-1])


def test_average_precision_of_a_hand_made_list():
    # hit, false, hit of three faces: envelope 1 up to recall 1/3, 2/3 up to 2/3, nothing after
    assert d.average_precision(curve_of([0.9, 0.8, 0.7], [True, False, True], 3)) == pytest.approx(
        1 / 3 + 2 / 9
    )
    assert d.average_precision(curve_of([0.9, 0.8], [True, True], 2)) == 1.0
    assert d.average_precision(curve_of([], np.zeros(0, bool), 2)) == 0.0


@given(st.lists(pictures(), min_size=1, max_size=5), st.randoms())
def test_the_order_of_pictures_and_the_scale_of_scores_do_not_matter(drawn, random):
    if not any((~p[3]).any() for p in drawn):
        return
    matchings = [d.match_detections(*p, 0.4) for p in drawn]
    expected = d.average_precision(d.precision_recall(matchings))
    squeezed = [d.Matching(m.scores**3 / 2, m.assigned, m.counted) for m in matchings]
    random.shuffle(squeezed)
    assert d.average_precision(d.precision_recall(squeezed)) == pytest.approx(expected, abs=1e-12)
    assert 0 <= expected <= 1


def test_recall_at_a_number_of_false_positives():
    curve = curve_of([0.9, 0.8, 0.7, 0.6, 0.5], [True, False, True, False, True], 4)
    assert d.recall_at_false_positives(curve, 2, 0.0) == 0.25
    assert d.recall_at_false_positives(curve, 2, 0.5) == 0.5
    assert d.recall_at_false_positives(curve, 2, 1.0) == 0.75
    assert d.recall_at_false_positives(curve_of([0.9], [False], 1), 1, 0.5) == 0.0


def test_recall_by_size_leaves_ignored_faces_out():
    matching = d.Matching(
        np.array([0.9, 0.8], np.float32), np.array([0, 2], np.int32), np.array([True, True, True, False])
    )
    sizes = [np.array([10, 23.9, 24, 100], np.float32)]
    assert d.recall_by_size([matching], sizes, (24.0, 48.0)) == ((1, 2), (1, 1), (0, 0))


def test_without_a_true_face_there_is_no_recall():
    with pytest.raises(ValueError, match="at least one true face"):
        d.precision_recall([d.Matching(np.ones(1, np.float32), np.array([-1], np.int32), np.zeros(0, bool))])


def test_wrong_arguments_are_named():
    boxes, scores = np.zeros((1, 4), np.float32), np.zeros(1, np.float32)
    with pytest.raises(ValueError, match="ignored must be"):
        d.match_detections(boxes, scores, boxes, np.zeros(2, bool), 0.5)
    with pytest.raises(ValueError, match="IoU threshold"):
        d.match_detections(boxes, scores, boxes, np.zeros(1, bool), 0.0)
