import stat
from io import BytesIO

import numpy as np
import pytest
from PIL import Image as PillowImage

from lineament.core.errors import BadArray, InputError
from lineament.imaging import decode_image, encode_jpeg, encode_png, read_image, write_image


def ramp(height=30, width=40):
    x, y = np.meshgrid(np.arange(width) * 6, np.arange(height) * 8)
    return np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)


def test_png_is_exact():
    pixels = np.random.default_rng(0).integers(0, 256, (31, 17, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_image(encode_png(pixels)).pixels, pixels)


def test_jpeg_is_close_and_smaller_with_less_quality():
    good, poor = encode_jpeg(ramp()), encode_jpeg(ramp(), quality=20)
    assert np.abs(np.asarray(PillowImage.open(BytesIO(good))).astype(int) - ramp()).mean() < 3
    assert len(poor) < len(good)


@pytest.mark.parametrize("quality", [0, 101])
def test_jpeg_quality_is_checked(quality):
    with pytest.raises(ValueError, match=r"1\.\.100"):
        encode_jpeg(ramp(), quality)


def test_only_pictures_are_encoded():
    with pytest.raises(BadArray, match="uint8 RGB"):
        encode_png(np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
def test_the_suffix_gives_the_format(tmp_path, suffix):
    path = tmp_path / f"Žofie{suffix}"
    write_image(path, ramp())
    assert PillowImage.open(BytesIO(path.read_bytes())).format == ("PNG" if suffix == ".png" else "JPEG")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_an_existing_file_is_replaced_and_readable_like_any_new_file(tmp_path):
    path, other = tmp_path / "a.png", tmp_path / "other"
    path.write_bytes(b"old")
    other.touch()
    write_image(str(path), ramp())
    assert read_image(path).pixels.shape == (30, 40, 3)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


@pytest.mark.parametrize("name", ["a.webp", "a", "a.png.txt"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"ends in \.png, \.jpg, \.jpeg"):
        write_image(tmp_path / name, ramp())


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="No such file or directory"):
        write_image(tmp_path / "gone" / "a.png", ramp())
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        write_image(tmp_path / "folder.png", ramp())


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "a.png"
    write_image(path, ramp())
    before = path.read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # a disk with room for 2000 bytes
    try:
        with pytest.raises(InputError, match=r"cannot write .*a\.png: File too large; choose a folder"):
            write_image(path, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
