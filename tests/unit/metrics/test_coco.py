import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineament.metrics import coco as m


def random_set(seed, n_pictures=3, side=60):
    """Pictures with faces, detections near them, detections elsewhere, and tied scores."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(n_pictures):
        n_faces = rng.integers(0, 5)
        truth = np.concatenate(
            [rng.integers(0, side, (n_faces, 2)), rng.integers(4, side, (n_faces, 2))], axis=1
        )
        near = truth[rng.integers(0, n_faces, rng.integers(0, 6))] if n_faces else truth
        far = np.concatenate([rng.integers(0, side, (2, 2)), rng.integers(4, side, (2, 2))], axis=1)
        found = np.concatenate([near + rng.integers(-3, 4, near.shape), far]).clip(1)
        scores = (rng.integers(0, 8, len(found)) / 8).astype(np.float32)
        pictures.append(picture(found, scores, truth))
    return pictures


def picture(found_xywh, scores, truth_xywh, ignored=None):
    def corners(rows):
        rows = np.asarray(rows, np.float32).reshape(-1, 4)
        return np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1)

    truth = corners(truth_xywh)
    flags = np.zeros(len(truth), bool) if ignored is None else np.array(ignored, bool)
    return m.CocoPicture(corners(found_xywh), np.asarray(scores, np.float32), truth, flags)


def published(pictures, area_px2, max_detections):
    """AP and AR by the evaluation published with the data set."""
    tools = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    images, annotations, results = [], [], []
    for i, p in enumerate(pictures, start=1):
        images.append({"id": i})
        for box in p.truth.astype(float):
            x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": i, "category_id": 1, "bbox": [x, y, w, h]}
                | {"area": w * h, "iscrowd": 0}
            )
        for box, score in zip(p.boxes.astype(float), p.scores, strict=True):
            x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
            results.append({"image_id": i, "category_id": 1, "bbox": [x, y, w, h], "score": float(score)})
    truth = tools.COCO()
    truth.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}], "info": {}}
    truth.createIndex()
    evaluation = cocoeval.COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [list(area_px2)], ["range"]
    evaluation.params.maxDets = [max_detections]
    evaluation.evaluate()
    evaluation.accumulate()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    return precision[:, :, 0, 0, 0].mean(axis=1), recall[:, 0, 0, 0]


@pytest.mark.parametrize("area", [(0.0, 1e10), (0.0, 400.0), (400.0, 1200.0)])
@pytest.mark.parametrize("max_detections", [1, 3, 100])
def test_equals_the_published_evaluation(area, max_detections, capsys):
    compared = 0
    for seed in range(12):
        pictures = random_set(seed)
        expected_precision, expected_recall = published(pictures, area, max_detections)
        if expected_precision[0] < 0:
            with pytest.raises(ValueError, match="at least one face"):
                m.coco_average_precision(pictures, area, max_detections)
            continue
        result = m.coco_average_precision(pictures, area, max_detections)
        assert result.average_precision == pytest.approx(expected_precision, abs=1e-12)
        assert result.recall == pytest.approx(expected_recall, abs=1e-12)
        compared += 1
    capsys.readouterr()  # the published code prints
    assert compared > 6


def slow_iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0.0) * max(h, 0.0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def slow_average_precision(pictures, threshold, max_detections):
    """One overlap: match, count, take the best precision at or beyond each of 101 recalls."""
    ranked, n_faces = [], 0
    for number, p in enumerate(pictures):
        state = ["ignored" if i else "free" for i in p.ignored]
        n_faces += state.count("free")
        order = sorted(range(len(p.scores)), key=lambda i: -p.scores[i])[:max_detections]
        for i in order:
            overlaps = [slow_iou(p.boxes[i].astype(float), t.astype(float)) for t in p.truth]
            for kind, verdict in (("free", True), ("ignored", None)):  # noqa: B007
                usable = [j for j, s in enumerate(state) if s == kind and overlaps[j] >= threshold]
                if usable:
                    state[max(usable, key=lambda j: (overlaps[j], j))] = "taken"
                    break
            else:
                verdict = False
            if verdict is not None:
                ranked.append((-float(p.scores[i]), number, verdict))
    ranked.sort(key=lambda r: r[:2])
    points, hits = [], 0
    for k, (_, _, hit) in enumerate(ranked, start=1):
        hits += hit
        points.append((hits / n_faces, hits / k))
    return sum(max((p for r, p in points if r >= x), default=0.0) for x in m.RECALLS) / 101


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 100]))
def test_equals_a_plain_loop_with_ignored_faces(seed, max_detections):
    rng = np.random.default_rng(seed)
    pictures = [
        m.CocoPicture(p.boxes, p.scores, p.truth, rng.random(len(p.truth)) < 0.4)
        for p in random_set(seed, side=30)
    ]
    if all(p.ignored.all() for p in pictures):
        return
    thresholds = (0.3, 0.5, 0.75)
    result = m.coco_average_precision(pictures, max_detections=max_detections, iou_thresholds=thresholds)
    expected = [slow_average_precision(pictures, t, max_detections) for t in thresholds]
    assert result.average_precision == pytest.approx(expected, abs=1e-12)
    assert result.mean_average_precision == pytest.approx(np.mean(expected))
    assert result.mean_recall == pytest.approx(np.mean(result.recall))


def test_perfect_and_absent_detections():
    truth = [(0, 0, 20, 20), (50, 50, 120, 120)]
    perfect = m.coco_average_precision([picture(truth, [0.5, 0.9], truth)])
    assert perfect.mean_average_precision == perfect.mean_recall == 1
    assert perfect.n_faces == 2
    nothing = m.coco_average_precision([picture([], [], truth)])
    assert nothing.mean_average_precision == nothing.mean_recall == 0


def test_a_loose_box_counts_at_few_overlaps():
    result = m.coco_average_precision([picture([(0, 0, 72, 100)], [1], [(0, 0, 100, 100)])])
    assert result.average_precision == (1, 1, 1, 1, 1, 0, 0, 0, 0, 0)
    assert result.mean_average_precision == 0.5


def test_a_detection_of_another_size_is_left_out_not_false():
    found, truth = [(0, 0, 20, 20), (200, 200, 120, 120)], [(0, 0, 20, 20)]
    scores = [0.5, 0.9]
    everything = m.coco_average_precision([picture(found, scores, truth)])
    small = m.coco_average_precision([picture(found, scores, truth)], m.AREA_RANGES_PX2["small"])
    assert everything.mean_average_precision == pytest.approx(0.5)
    assert small.mean_average_precision == 1


def test_wrong_arguments_are_refused():
    good = [picture([], [], [(0, 0, 5, 5)])]
    with pytest.raises(ValueError, match="at least one face"):
        m.coco_average_precision(good, m.AREA_RANGES_PX2["large"])
    with pytest.raises(ValueError, match="must count"):
        m.coco_average_precision(good, max_detections=0)
    with pytest.raises(ValueError, match="ignored must be"):
        picture([], [], [(0, 0, 5, 5)], [True, False])
