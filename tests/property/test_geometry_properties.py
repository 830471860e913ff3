import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lineament.geometry import (
    apply,
    compose,
    fit_similarity,
    invert,
    iou,
    nms,
    scale_points,
    turn,
    turn_boxes,
    turn_points,
)

coordinates = st.floats(-500, 500, width=32)
quarters = st.sampled_from([0, 90, 180, 270])
sides = st.integers(1, 40)


def boxes(count):
    eighths = arrays(np.float32, (count, 4), elements=st.integers(0, 1600))  # exact in float32 when turned
    return eighths.map(
        lambda a: (
            np.concatenate([np.minimum(a[:, :2], a[:, 2:]), np.maximum(a[:, :2], a[:, 2:])], axis=1)
            / np.float32(8)
        )
    )


similarities = st.builds(
    lambda scale, angle, x, y: np.array(
        [
            [scale * np.cos(angle), -scale * np.sin(angle), x],
            [scale * np.sin(angle), scale * np.cos(angle), y],
        ]
    ),
    st.floats(0.05, 20),
    st.floats(-np.pi, np.pi),
    coordinates,
    coordinates,
)


@given(similarities)
def test_a_similarity_is_found_again(matrix):
    square = np.array([(0.0, 0.0), (30.0, 0.0), (30.0, 30.0), (0.0, 30.0)])
    np.testing.assert_allclose(fit_similarity(square, apply(matrix, square)), matrix, atol=1e-6)


@given(similarities, arrays(np.float64, (5, 2), elements=coordinates))
def test_inverse_undoes(matrix, points):
    np.testing.assert_allclose(apply(invert(matrix), apply(matrix, points)), points, atol=1e-6)
    np.testing.assert_allclose(compose(invert(matrix), matrix), np.eye(2, 3), atol=1e-6)


@given(boxes(6), boxes(4))
def test_iou_is_symmetric_and_bounded(a, b):
    found = iou(a, b)
    np.testing.assert_allclose(found, iou(b, a).T, atol=1e-6)
    assert (found >= 0).all()
    assert (found <= 1 + 1e-5).all()


@given(boxes(12), st.permutations(range(12)), st.floats(0.1, 0.9))
def test_nms_does_not_depend_on_order(found, order, max_iou):
    scores = np.linspace(0.9, 0.1, 12).astype(np.float32)
    order = np.array(order)
    kept = nms(found, scores, max_iou)
    assert order[nms(found[order], scores[order], max_iou)].tolist() == kept.tolist()
    overlaps = iou(found[kept], found[kept])
    assert (overlaps[~np.eye(len(kept), dtype=bool)] <= max_iou).all()


@given(quarters, sides, sides, arrays(np.float32, (5, 2), elements=st.integers(-64, 64)))
def test_turning_back_restores_points(angle, height, width, points):
    pixels = np.zeros((height, width, 3), np.uint8)
    turned = turn(pixels, angle)
    there = turn_points(points, angle, pixels.shape)
    assert turn_points(there, -angle, turned.shape).tolist() == points.tolist()
    assert turn(turned, -angle).shape == pixels.shape


@given(quarters, sides, sides, boxes(3))
def test_turning_keeps_overlaps(angle, height, width, found):
    turned = turn_boxes(found, angle, (height, width))
    assert (turned[:, 2:] >= turned[:, :2]).all()
    np.testing.assert_allclose(iou(turned, turned), iou(found, found), atol=1e-6)


@given(arrays(np.float32, (3, 2), elements=st.floats(-100, 100, width=32)), st.floats(0.1, 10))
def test_scaling_back_restores_points(points, factor):
    there = scale_points(points, factor, 2 * factor)
    np.testing.assert_allclose(scale_points(there, 1 / factor, 0.5 / factor), points, atol=1e-2)
