import numpy as np
import pytest

from lineament.core.errors import BadArray
from lineament.core.types import Detections
from lineament.imaging import GREEN, ORANGE, PALETTE, SKY_BLUE, Tile, contact_sheet, draw_detections
from lineament.imaging.draw import ink_on


def two_faces(scale=1.0):
    points = np.full((2, 5, 2), np.nan, np.float32)
    points[0] = [(30, 50), (50, 50), (40, 60), (32, 70), (48, 70)]
    boxes = np.array([[20, 40, 60, 80], [120, 50, 150, 90]], np.float32)
    return Detections(boxes * np.float32(scale), np.array([0.9, 0.8], np.float32), points * np.float32(scale))


def has_colour(pixels, colour):
    return bool((pixels == colour).all(-1).any())


def grey(height=120, width=200):
    return np.full((height, width, 3), 128, np.uint8)


def test_boxes_and_points_lie_where_they_are():
    picture = grey()
    drawn = draw_detections(picture, two_faces())
    assert drawn[60, 20].tolist() == list(ORANGE)
    assert drawn[90, 135].tolist() == list(SKY_BLUE)
    assert drawn[50, 30].tolist() == list(ORANGE)
    assert drawn[70, 135].tolist() == [128, 128, 128]
    assert (picture == 128).all()


def test_labels_and_colours_are_used():
    bare = draw_detections(grey(), two_faces(), colours=[GREEN, GREEN])
    assert has_colour(bare, GREEN)
    assert not has_colour(bare, ORANGE)
    labelled = draw_detections(grey(), two_faces(), labels=["Ada", ""])
    plain = draw_detections(grey(), two_faces())
    assert (labelled != plain).any(-1)[:40, :70].sum() > 100
    assert not (labelled != plain)[:, 110:].any()


@pytest.mark.parametrize(
    "label", ["Ada", "Žofie – é", "王小明", "Олег", "😀", "tab\tand\x00control", "x" * 300]
)
def test_any_label_can_be_drawn(label):
    drawn = draw_detections(grey(), two_faces(), labels=[label, label])
    assert drawn.shape == (120, 200, 3)
    assert (drawn != draw_detections(grey(), two_faces())).any()


@pytest.mark.parametrize("shape", [(1, 1), (12, 9), (2000, 3000)])
def test_pictures_of_any_size(shape):
    drawn = draw_detections(grey(*shape), two_faces(min(shape) / 120), labels=["Ada", "Bo"])
    assert drawn.shape == (*shape, 3)


def test_lines_grow_with_the_picture():
    small, large = draw_detections(grey(), two_faces()), draw_detections(grey(1920, 3200), two_faces(16))
    widths = [int((pixels == ORANGE).all(-1)[row].sum()) for pixels, row in ((small, 45), (large, 720))]
    assert widths[1] >= 4 * widths[0]


def test_boxes_outside_and_empty_boxes_do_no_harm():
    boxes = np.array([[-500, -500, -300, -300], [50, 50, 40, 40], [-50, -50, 500, 500]], np.float32)
    odd = Detections(boxes, np.full(3, 0.5, np.float32), np.full((3, 5, 2), np.nan, np.float32))
    assert draw_detections(grey(), odd, labels=["a", "b", "c"]).shape == (120, 200, 3)


def test_no_faces_leave_the_picture():
    np.testing.assert_array_equal(draw_detections(grey(), Detections.none()), grey())


def test_counts_must_agree():
    with pytest.raises(ValueError, match="expected 2 labels"):
        draw_detections(grey(), two_faces(), labels=["one"])
    with pytest.raises(ValueError, match="expected 2 colours"):
        draw_detections(grey(), two_faces(), colours=[GREEN] * 3)


def test_ink_is_readable_on_every_colour():
    def luminance(colour):  # WCAG 2.2
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(colour) / 255]
        return np.dot(linear, (0.2126, 0.7152, 0.0722))

    for colour in PALETTE:
        low, high = sorted((luminance(colour), luminance(ink_on(colour))))
        assert (high + 0.05) / (low + 0.05) > 3


def solid(colour, height=50, width=80):
    return np.full((height, width, 3), colour, np.uint8)


def test_a_sheet_shows_every_tile_in_reading_order():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    sheet = contact_sheet([Tile(solid(c), f"tile {i}") for i, c in enumerate(colours)], columns=2, tile_px=64)
    centres = [np.argwhere((sheet == c).all(-1)).mean(0) for c in colours]
    assert centres[0][0] == centres[1][0] < centres[2][0]
    assert centres[0][1] == centres[2][1] < centres[1][1]


def test_tiles_are_whole_and_keep_their_shape():
    sheet = contact_sheet([Tile(solid((1, 2, 3), 400, 100), colour=GREEN)], columns=5, tile_px=100)
    rows, columns = np.nonzero((sheet == (1, 2, 3)).all(-1))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (100, 25)
    assert has_colour(sheet, GREEN)


def test_captions_and_titles_take_room():
    bare = contact_sheet([Tile(solid((9, 9, 9)))], 1, 96)
    short = contact_sheet([Tile(solid((9, 9, 9)), "one")], 1, 96)
    long = contact_sheet([Tile(solid((9, 9, 9)), "many words that need several lines of the caption")], 1, 96)
    titled = contact_sheet([Tile(solid((9, 9, 9)))], 1, 96, title="Všechny tváře")
    assert bare.shape[0] < short.shape[0] < long.shape[0]
    assert titled.shape[0] > bare.shape[0]
    assert bare.shape[1] == long.shape[1]


def test_bad_sheets_are_refused():
    with pytest.raises(ValueError, match="expected tiles"):
        contact_sheet([], 3, 100)
    with pytest.raises(ValueError, match="tile_px >= 32"):
        contact_sheet([Tile(solid((0, 0, 0)))], 3, 8)
    with pytest.raises(BadArray, match="uint8 RGB"):
        Tile(np.zeros((4, 4), np.uint8))


def test_weight_thickens_lines_and_text():
    def coloured(weight):
        drawn = draw_detections(grey(480, 640), two_faces(4.0), ["Ada", ""], [GREEN, GREEN], weight=weight)
        return int((drawn == GREEN).all(-1).sum())

    assert coloured(1.0) == int(
        (draw_detections(grey(480, 640), two_faces(4.0), ["Ada", ""], [GREEN, GREEN]) == GREEN).all(-1).sum()
    )
    assert coloured(3.0) > 2 * coloured(1.0)
