"""Decoders against plain loops written from the papers, and the path around them."""

import numpy as np
from function_session import FunctionSession, model_of

from lineament.detection import centerface, scrfd, yunet
from lineament.detection.postprocess import Candidates
from lineament.detection.yunet import YuNet

HEIGHT, WIDTH, MIN_SCORE = 64, 96, 0.5


def same(found: Candidates, want: list[tuple[float, list[float], list[list[float]]]]) -> None:
    """Equal candidates in any order."""
    assert len(found.scores) == len(want) > 0
    got = np.argsort(found.scores)
    want = sorted(want, key=lambda w: w[0])
    np.testing.assert_allclose(found.scores[got], [w[0] for w in want], rtol=1e-6)
    np.testing.assert_allclose(found.boxes[got], [w[1] for w in want], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found.points[got], [w[2] for w in want], rtol=1e-5, atol=1e-4)


def test_yunet() -> None:
    rng = np.random.default_rng(0)
    outputs = {}
    for stride in (8, 16, 32):
        cells = (HEIGHT // stride) * (WIDTH // stride)
        outputs[f"cls_{stride}"] = rng.uniform(0, 1, (2, cells, 1)).astype(np.float32)
        outputs[f"obj_{stride}"] = rng.uniform(0, 1, (2, cells, 1)).astype(np.float32)
        outputs[f"bbox_{stride}"] = rng.normal(size=(2, cells, 4)).astype(np.float32)
        outputs[f"kps_{stride}"] = rng.normal(size=(2, cells, 10)).astype(np.float32)
    for n, found in enumerate(yunet.decode(outputs, (HEIGHT, WIDTH), MIN_SCORE)):
        want = []
        for s in (8, 16, 32):
            for row in range(HEIGHT // s):
                for column in range(WIDTH // s):
                    cell = row * (WIDTH // s) + column
                    score = float(np.sqrt(outputs[f"cls_{s}"][n, cell, 0] * outputs[f"obj_{s}"][n, cell, 0]))
                    if score < MIN_SCORE:
                        continue
                    dx, dy, lw, lh = outputs[f"bbox_{s}"][n, cell]
                    x, y, w, h = (column + dx) * s, (row + dy) * s, np.exp(lw) * s, np.exp(lh) * s
                    raw = outputs[f"kps_{s}"][n, cell]
                    points = [[(column + raw[2 * k]) * s, (row + raw[2 * k + 1]) * s] for k in range(5)]
                    want.append((score, [x - w / 2, y - h / 2, x + w / 2, y + h / 2], points))
        same(found, want)


def test_scrfd() -> None:
    rng = np.random.default_rng(1)
    outputs = {}
    for s in (8, 16, 32):
        shape = (HEIGHT // s, WIDTH // s)
        outputs[f"score_{s}"] = rng.uniform(0, 1, (2, 2, *shape)).astype(np.float32)
        outputs[f"bbox_{s}"] = rng.uniform(0, 3, (2, 8, *shape)).astype(np.float32)
        outputs[f"kps_{s}"] = rng.normal(size=(2, 20, *shape)).astype(np.float32)
    for n, found in enumerate(scrfd.decode(outputs, (HEIGHT, WIDTH), MIN_SCORE)):
        want = []
        for s in (8, 16, 32):
            for anchor in range(2):
                for row in range(HEIGHT // s):
                    for column in range(WIDTH // s):
                        score = float(outputs[f"score_{s}"][n, anchor, row, column])
                        if score < MIN_SCORE:
                            continue
                        left, top, right, bottom = (
                            float(outputs[f"bbox_{s}"][n, anchor * 4 + k, row, column]) * s for k in range(4)
                        )
                        x, y = column * s, row * s
                        raw = outputs[f"kps_{s}"][n, :, row, column]
                        points = [
                            [x + raw[anchor * 10 + 2 * k] * s, y + raw[anchor * 10 + 2 * k + 1] * s]
                            for k in range(5)
                        ]
                        want.append((score, [x - left, y - top, x + right, y + bottom], points))
        same(found, want)


def test_centerface() -> None:
    rng = np.random.default_rng(2)
    shape = (HEIGHT // 4, WIDTH // 4)
    outputs = {
        "heatmap": rng.uniform(0, 1, (2, 1, *shape)).astype(np.float32),
        "scale": rng.normal(size=(2, 2, *shape)).astype(np.float32),
        "offset": rng.normal(size=(2, 2, *shape)).astype(np.float32),
        "landmarks": rng.normal(size=(2, 10, *shape)).astype(np.float32),
    }
    for n, found in enumerate(centerface.decode(outputs, (HEIGHT, WIDTH), MIN_SCORE)):
        want = []
        for row in range(shape[0]):
            for column in range(shape[1]):
                score = float(outputs["heatmap"][n, 0, row, column])
                if score < MIN_SCORE:
                    continue
                high, wide = (float(np.exp(outputs["scale"][n, k, row, column])) * 4 for k in range(2))
                y = (row + outputs["offset"][n, 0, row, column] + 0.5) * 4 - high / 2
                x = (column + outputs["offset"][n, 1, row, column] + 0.5) * 4 - wide / 2
                raw = outputs["landmarks"][n, :, row, column]
                points = [[x + raw[2 * k + 1] * wide, y + raw[2 * k] * high] for k in range(5)]
                want.append((score, [x, y, x + wide, y + high], points))
        same(found, want)


def test_no_candidate_is_no_fault() -> None:
    session = FunctionSession(brightest_cell)
    (found,) = yunet.decode(session.run({"image": np.zeros((1, 3, 32, 32), np.float32)}), (32, 32), MIN_SCORE)
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == (0,)
    assert found.points.shape == (0, 5, 2)


def brightest_cell(image: np.ndarray) -> dict[str, np.ndarray]:
    """A YuNet-like network: the stride 8 cell with the highest blue mean is a face of 16 px."""
    outputs = {}
    for s in (8, 16, 32):
        rows, columns = image.shape[2] // s, image.shape[3] // s
        score = np.zeros((len(image), rows * columns, 1), np.float32)
        if s == 8:
            blue = image[:, 0].reshape(len(image), rows, s, columns, s).mean((2, 4)).reshape(len(image), -1)
            score[np.arange(len(image)), blue.argmax(1), 0] = (blue.max(1) > 100).astype(np.float32) * 0.9
        outputs |= {f"cls_{s}": score, f"obj_{s}": score}
        outputs[f"bbox_{s}"] = np.tile(np.float32([0.5, 0.5, np.log(2), np.log(2)]), (*score.shape[:2], 1))
        outputs[f"kps_{s}"] = np.full((*score.shape[:2], 10), 0.5, np.float32)
    return outputs


def test_pictures_of_several_sizes_share_runs_and_keep_their_places() -> None:
    """Blue is the first channel of a BGR network; coordinates count from the centre of the first px."""
    session = FunctionSession(brightest_cell)
    detector = YuNet(model_of("yunet", model=session))
    images = []
    for height, width, row, column in [(40, 70, 1, 2), (64, 96, 7, 11), (40, 70, 4, 0), (20, 20, 0, 0)]:
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8, 2] = 200
        images.append(pixels)
    images.append(np.full((40, 70, 3), 50, np.uint8))
    found = detector.detect(images)
    centres = [faces.points[0, 0].tolist() for faces in found[:4]]
    assert centres == [[19.5, 11.5], [91.5, 59.5], [3.5, 35.5], [3.5, 3.5]]
    np.testing.assert_allclose(found[0].boxes, [[11.5, 3.5, 27.5, 19.5]])
    assert len(found[4]) == 0
    assert sorted(session.shapes) == [(1, 3, 32, 32), (4, 3, 64, 96)]
