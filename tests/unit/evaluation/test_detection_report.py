import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.core.types import Detections
from lineament.evaluation.detection import TURNS_DEG, DetectionReport, detection_report
from lineament.evaluation.detection_sets import read_dlib_faces, read_facemask
from lineament.evaluation.verification import SystemUsed
from lineament.imaging.encode import encode_png

SYSTEM = SystemUsed("drawn", ())
XML = """<?xml version='1.0' encoding='ISO-8859-1'?>
<dataset><images>
  <image file='{}.png' width='64' height='40'>
    <box top='4' left='10' width='20' height='22'/>
    <box top='2' left='40' width='8' height='8' ignore='1'/>
  </image>
</images></dataset>
"""


def block_picture(edges, height=40, width=64):
    """Black, with each box filled in its own shade of red."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for k, (left, top, right, bottom) in enumerate(edges):
        pixels[top:bottom, left:right, 0] = 250 - k
    return pixels


def find_blocks(images):
    """A detector of filled blocks in any orientation; it reports a face that is not there, too."""
    found = []
    for image in images:
        boxes = [[0, 0, 3, 3]]
        for shade in np.unique(image[..., 0])[1:]:
            rows, columns = np.nonzero(image[..., 0] == shade)
            boxes.append([columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5])
        boxes = np.array(boxes[::-1], np.float32)
        scores = np.linspace(0.9, 0.1, len(boxes), dtype=np.float32)
        found.append(Detections(boxes, scores, np.full((len(boxes), 5, 2), np.nan, np.float32)))
    return found


@pytest.fixture
def facemask(tmp_path):
    edges = {"a.png": [(5, 6, 35, 38)], "b.png": [(10, 4, 22, 30), (30, 0, 64, 40)]}
    rows = ["file,width,height,xmin,ymin,xmax,ymax,label"]
    folder = tmp_path / "facemask_images.zip"
    import zipfile

    with zipfile.ZipFile(folder, "w") as file:
        for name, boxes in edges.items():
            file.writestr(name, encode_png(block_picture(boxes)))
            rows += [f"{name},64,40,{','.join(map(str, box))},with_mask" for box in boxes]
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_a_perfect_detector_is_perfect_at_every_turn(facemask):
    told = []
    report = detection_report(read_facemask(facemask), find_blocks, SYSTEM, lambda *step: told.append(step))
    assert (report.dataset, report.n_images, report.n_faces) == ("det_facemask", 2, 3)
    assert [turned.turn_deg for turned in report.turns] == list(TURNS_DEG)
    for turned in report.turns:
        for result in turned.overlaps:
            assert (result.average_precision, result.recall) == (1.0, 1.0)
            assert result.false_positives_per_image == 1.0
            assert [(b.found, b.faces) for b in result.by_size] == [(1, 1), (2, 2), (0, 0)]
    assert told == [(2, 2)] * 4
    assert DetectionReport.from_json(report.to_json()) == report
    assert "turned  90 deg, IoU 0.4: AP 1.0000, recall 1.0000 (0-24 px 1/1, 24-48 px 2/2" in report.text()


def test_a_detector_that_forgets_to_look_at_turned_pictures_is_found_out(facemask):
    upright = find_blocks([block_picture([(10, 4, 22, 30), (30, 0, 64, 40)])])[0]

    report = detection_report(read_facemask(facemask), lambda images: [upright] * len(images), SYSTEM)
    recalls = [turned.overlaps[0].recall for turned in report.turns]
    assert recalls[0] == pytest.approx(2 / 3)
    assert max(recalls[1:]) < recalls[0]


def test_boxes_of_the_table_are_edges_in_the_frame_of_pixel_centres(facemask):
    labels = read_facemask(facemask).labels
    assert [label.name for label in labels] == ["a.png", "b.png"]
    assert labels[0].boxes.tolist() == [[4.5, 5.5, 34.5, 37.5]]


@pytest.mark.parametrize(
    ("line", "fault"), [("a.png,64,40,9,9,9,20,x", "line 5.*is empty"), ("a.png,64,40,9,9,z,20,x", "line 5")]
)
def test_a_bad_row_is_named(facemask, line, fault):
    path = facemask / "boxes.csv"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match=fault):
        read_facemask(facemask)


def test_a_missing_table_or_picture_is_named(tmp_path, facemask):
    with pytest.raises(DataError, match="cannot be read"):
        read_facemask(tmp_path / "gone")
    path = facemask / "boxes.csv"
    path.write_text(path.read_text() + "gone.png,64,40,1,1,9,20,x\n")
    with pytest.raises(DataError, match=r"1 of 3 pictures .*gone\.png"):
        detection_report(read_facemask(facemask), find_blocks, SYSTEM)


def test_ignored_boxes_of_the_dlib_list_do_not_count(tmp_path):
    for name in ("training", "testing"):
        (tmp_path / f"{name}.xml").write_text(XML.format(name))
        pixels = block_picture([(10, 4, 30, 26), (40, 2, 48, 10)])
        (tmp_path / f"{name}.png").write_bytes(encode_png(pixels))
    report = detection_report(read_dlib_faces(tmp_path), find_blocks, SYSTEM)
    assert report.n_faces == 2
    assert report.turns[1].overlaps[0].recall == 1.0
    assert report.turns[1].overlaps[0].false_positives_per_image == 1.0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            XML.format("x").replace("left='10' ", ""),
            "picture x.png: expected left, top, width and height: 'left'",
        ),
        ("<dataset>", "cannot be read"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><dataset/>", "no document type"),
    ],
)
def test_a_list_that_cannot_be_used_is_named(tmp_path, text, fault):
    (tmp_path / "training.xml").write_text(text)
    with pytest.raises(DataError, match=fault):
        read_dlib_faces(tmp_path)


@pytest.mark.shared
def test_the_sets_of_the_data_folder(shared):
    masks, dlib = (
        read(shared / "data" / name)
        for read, name in ((read_facemask, "det_facemask"), (read_dlib_faces, "det_dlib_faces"))
    )
    assert (len(masks.labels), sum(len(label.boxes) for label in masks.labels)) == (853, 4072)
    assert sum(len(label.boxes) for label in dlib.labels) == 43
