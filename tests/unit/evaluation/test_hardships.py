"""Harder versions are files of the same picture, changed as their names say."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image as PillowImage

from lineament.evaluation.hardships import COVERS, CRUSHED_QUALITY, SMALL_FACE_PX, Version, harder_versions
from lineament.geometry import turn
from lineament.imaging import decode_image, encode_jpeg
from lineament.testing import Place, draw_scene

SCENE = draw_scene(300, 220, [Place(seed=3, x_px=110, y_px=150, size_px=160)])
FACE = SCENE.detections[0]


@pytest.fixture(scope="module")
def versions() -> dict[str, Version]:
    return {v.name: v for v in harder_versions(SCENE.pixels, FACE)}


def pixels_of(version: Version) -> np.ndarray:
    return decode_image(version.data, name=version.name).pixels.astype(int)


def test_the_same_input_gives_the_same_files(versions: dict[str, Version]) -> None:
    assert harder_versions(SCENE.pixels, FACE) == tuple(versions.values())
    noisier = harder_versions(SCENE.pixels, FACE, seed=1)
    assert [a.name for a in noisier if a != versions[a.name]] == ["dark and noisy"]


def test_the_tagged_file_lies_on_its_side_and_decodes_upright(versions: dict[str, Version]) -> None:
    version = versions["on its side, with EXIF tag"]
    stored = PillowImage.open(BytesIO(version.data))
    assert stored.size == (300, 220)
    assert stored.getexif()[0x0112] == 6
    assert np.abs(pixels_of(version) - SCENE.pixels).mean() < 2


@pytest.mark.parametrize("deg", [90, 180, 270])
def test_turned_files_have_no_tag(versions: dict[str, Version], deg: int) -> None:
    version = versions[f"turned {deg}°, no tag"]
    assert not PillowImage.open(BytesIO(version.data)).getexif()
    assert np.abs(pixels_of(version) - turn(SCENE.pixels, deg)).mean() < 2


def test_the_small_picture_has_a_face_of_the_named_size(versions: dict[str, Version]) -> None:
    small = pixels_of(versions[f"face of {SMALL_FACE_PX} px"])
    factor = SMALL_FACE_PX / FACE.size_px
    assert small.shape[:2] == (round(300 * factor), round(220 * factor))


def test_the_crushed_file_is_smaller_and_worse(versions: dict[str, Version]) -> None:
    version = versions[f"JPEG quality {CRUSHED_QUALITY}"]
    assert len(version.data) < len(encode_jpeg(SCENE.pixels)) / 3
    assert np.abs(pixels_of(version) - SCENE.pixels).mean() > 2


def test_the_dark_picture_has_an_eighth_of_the_light(versions: dict[str, Version]) -> None:
    dark = pixels_of(versions["dark and noisy"])
    assert dark.mean() == pytest.approx(SCENE.pixels.mean() / 8, rel=0.05)


@pytest.mark.parametrize(
    ("name", "hidden", "seen"),
    [
        ("mouth and chin covered", [3, 4], [0, 1]),
        ("one eye covered", [1], [0, 3, 4]),
        ("dark glasses", [0, 1], [3, 4]),
    ],
)
@pytest.mark.parametrize("roll_deg", [0, 30])
def test_covers_hide_what_they_say(name: str, hidden: list[int], seen: list[int], roll_deg: float) -> None:
    scene = draw_scene(400, 400, [Place(seed=3, x_px=200, y_px=200, size_px=200, roll_deg=roll_deg)])
    points = scene.detections[0].points
    covered = COVERS[name](scene.pixels, points)
    changed = np.any(covered != scene.pixels, axis=2)
    at = np.round(points).astype(int)
    around = [changed[y - 3 : y + 4, x - 3 : x + 4] for x, y in at]
    assert all(around[k].all() for k in hidden)
    assert not any(around[k].any() for k in seen)
    assert changed.mean() < 0.2
