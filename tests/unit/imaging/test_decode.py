import hashlib
import os
import struct
import subprocess
import sys
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageOps

from lineament.core.errors import DecodeError, ImageTooLarge, InputError
from lineament.imaging import Limits, decode_image, read_image

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")


def smooth(width=60, height=44, mode="RGB"):
    """A picture that is different in every corner, in any mode."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    pixels = np.stack([x, y, 255 - (x + y) / 2], axis=-1).astype(np.uint8)
    return PillowImage.fromarray(pixels).convert(mode)


def encoded(picture, kind, **settings):
    buffer = BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def with_orientation(kind, orientation, picture=None):
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    return encoded(picture or smooth(), kind, exif=exif)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_reads_like_pillow(kind):
    data = encoded(smooth(), kind)
    image = decode_image(data)
    expected = np.asarray(PillowImage.open(BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert (image.notes, image.oriented) == ((), False)


@pytest.mark.parametrize("settings", [{"progressive": True}, {"subsampling": 0}, {"quality": 30}])
def test_kinds_of_jpeg(settings):
    data = encoded(smooth(), "JPEG", **settings)
    np.testing.assert_array_equal(decode_image(data).pixels, np.asarray(PillowImage.open(BytesIO(data))))


def test_pictures_of_many_bands_are_whole():
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 701, 3), dtype=np.uint8)
    data = encoded(PillowImage.fromarray(pixels), "BMP")
    np.testing.assert_array_equal(decode_image(data).pixels, pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_tiny_pictures_are_pictures(size):
    pixels = decode_image(encoded(smooth(*size), "PNG")).pixels
    assert pixels.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientations_are_undone(kind, orientation):
    data = with_orientation(kind, orientation)
    image = decode_image(data)
    expected = ImageOps.exif_transpose(PillowImage.open(BytesIO(data))).convert("RGB")
    np.testing.assert_array_equal(image.pixels, np.asarray(expected))
    upright = np.asarray(smooth()).astype(int)
    if orientation == 6:  # stored turned: to show it, turn it clockwise
        assert np.abs(image.pixels - np.rot90(upright, -1)).mean() < 5
    if kind != "AVIF" or orientation != 1:  # AVIF keeps no tag for the plain orientation
        assert image.oriented
    assert image.notes == (() if orientation == 1 else (f"EXIF orientation {orientation} applied",))


@pytest.mark.parametrize("orientation", [0, 9, 400])
def test_orientations_that_do_not_exist_are_ignored(orientation):
    image = decode_image(with_orientation("JPEG", orientation))
    assert image.pixels.shape == (44, 60, 3)
    assert not image.oriented


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_damaged_metadata_do_not_stop_a_picture():
    data = encoded(smooth(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert not decode_image(data).oriented


def test_heic_is_read_upright():
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    buffer = BytesIO()
    pillow_heif.from_pillow(smooth(64, 48)).save(buffer, quality=95, exif=exif.tobytes())
    image = decode_image(buffer.getvalue())
    expected = np.rot90(np.asarray(smooth(64, 48)), -1).astype(int)
    assert image.pixels.shape == expected.shape
    assert np.abs(image.pixels - expected).mean() < 6
    assert image.oriented
    assert image.notes == ("EXIF orientation 6 applied",)


def test_heic_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DecodeError, match=r"pip install 'lineament\[heif\]'"):
        decode_image(b"\x00\x00\x00\x18ftypheic" + bytes(100))


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "YCbCr", "LAB"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF"])
def test_every_mode_gives_the_same_colours(kind, mode):
    picture = smooth().convert("P", palette=PillowImage.Palette.ADAPTIVE) if mode == "P" else None
    try:
        data = encoded(picture or smooth(mode="RGB" if mode == "LAB" else mode), kind)
    except (OSError, ValueError):
        pytest.skip(f"{kind} has no {mode}")
    expected = np.asarray(PillowImage.open(BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode_image(data).pixels - expected).max() <= 1


def test_cmyk_jpeg_is_not_a_negative():
    """Photoshop stores CMYK inverted and says so in an APP14 segment; Pillow writes it the same way."""
    picture = smooth(mode="CMYK")
    pixels = decode_image(encoded(picture, "JPEG", quality=95)).pixels.astype(int)
    assert np.abs(pixels - np.asarray(smooth())).mean() < 4


def test_alpha_is_laid_on_white():
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[:, :2] = (10, 20, 30, 255)
    pixels[:, 2:4] = (0, 0, 0, 128)
    found = decode_image(encoded(PillowImage.fromarray(pixels), "PNG")).pixels
    assert found[0, 0].tolist() == [10, 20, 30]
    assert found[0, 2].tolist() == [127, 127, 127]
    assert found[0, 5].tolist() == [255, 255, 255]


def test_a_transparent_palette_colour_is_white():
    palette = PillowImage.fromarray(np.zeros((4, 6), np.uint8)).convert("P")
    assert (decode_image(encoded(palette, "PNG", transparency=0)).pixels == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind):
    wide = np.linspace(0, 65535, 50 * 40).astype(np.uint16).reshape(40, 50)
    pixels = decode_image(encoded(PillowImage.fromarray(wide), kind)).pixels
    np.testing.assert_array_equal(pixels[..., 0], np.round(wide / 257.0).astype(np.uint8))
    assert (pixels[..., :1] == pixels).all()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_colour_is_scaled_not_clipped(suffix):
    wide = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    data = cv2.imencode(suffix, wide[..., ::-1])[1].tobytes()
    assert np.abs(decode_image(data).pixels - wide / 257.0).max() <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_samples_without_a_range_are_refused(dtype):
    picture = PillowImage.fromarray(np.zeros((4, 4), dtype))
    with pytest.raises(DecodeError, match="8 or 16 bits"):
        decode_image(encoded(picture, "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_used(kind):
    others = [PillowImage.new("RGB", (60, 44), colour) for colour in ("red", "blue")]
    settings = {"lossless": True} if kind == "WEBP" else {}
    image = decode_image(encoded(smooth(), kind, save_all=True, append_images=others, **settings))
    assert image.notes == ("first of several frames used",)
    assert np.abs(image.pixels.astype(int) - np.asarray(smooth())).mean() < 15  # GIF has 256 colours


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_cut_off_files_are_errors(kind, part):
    data = encoded(smooth(200, 150), kind)
    with pytest.raises(DecodeError):
        decode_image(data[: int(len(data) * part)])


def test_a_jpeg_that_continues_as_zeros_is_an_error():
    data = encoded(smooth(200, 150), "JPEG")
    half = len(data) // 2
    with pytest.raises(DecodeError, match="damaged or cut off"):
        decode_image(data[:half] + bytes(len(data) - half))


def test_a_broken_checksum_is_an_error():
    data = bytearray(encoded(smooth(200, 150), "PNG"))
    data[len(data) // 2] ^= 0x55
    with pytest.raises(DecodeError, match=r"PNG file is damaged.*checksum"):
        decode_image(bytes(data))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", FORMATS)
def test_damage_anywhere_gives_a_picture_or_our_error(kind):
    rng = np.random.default_rng(FORMATS.index(kind))
    sound = encoded(smooth(), kind)
    outcomes = set()
    for _ in range(150):
        data = bytearray(sound)
        for position in rng.integers(0, min(len(data), 400), rng.integers(1, 6)):
            data[position] = rng.integers(0, 256)
        try:
            decode_image(bytes(data), limits=Limits(max_pixels=10**6))
            outcomes.add("picture")
        except InputError:
            outcomes.add("error")
    assert "error" in outcomes


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello, this is a note\n", "looks like text"),
        ("Grüße aus Köln, 你好".encode() * 40, "looks like text"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF document"),
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41", "MP4 or QuickTime video"),
        (b"RIFF\x00\x10\x00\x00AVI LIST", "AVI video"),
        (b"\x1a\x45\xdf\xa3\x01\x00", "Matroska"),
        (b"PK\x03\x04\x14\x00", "ZIP archive"),
        (b"  <html><body>404</body></html>", "web page"),
        (b"<svg xmlns='x'></svg>", "SVG drawing"),
        (bytes(4096), "all zeros"),
        (bytes(range(128, 256)) * 9, "unknown data"),
    ],
)
def test_other_files_are_named(data, words):
    with pytest.raises(DecodeError, match=words) as caught:
        decode_image(data, name="shelf/thing.jpg")
    assert str(caught.value).startswith("shelf/thing.jpg: ")


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\r"
        + header
        + struct.pack(">I", zlib.crc32(header))
        + b"\x00\x00\x00\x10IDAT"
        + bytes(20)
    )


@pytest.mark.parametrize("side", [9_000, 12_000, 20_000, 2**31 - 1])
def test_bombs_are_judged_on_the_header(side):
    with pytest.raises(ImageTooLarge, match=f"{side}×{side} px"):
        decode_image(png_header(side, side))


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PPM"])
def test_bombs_in_other_formats(kind):
    if kind == "PPM":
        data = b"P6 20000 20000 255\n" + bytes(50)
    elif kind == "GIF":
        data = (
            b"GIF89a\x20\x4e\x20\x4e\xf0\x00\x00"
            + bytes(6)
            + b",\x00\x00\x00\x00\x20\x4e\x20\x4e\x00\x02\x02\x4c\x01\x00;"
        )
    elif kind == "TIFF":
        data = encoded(smooth(16, 16), "TIFF").replace(b"\x10\x00\x00\x00", b"\x20\x4e\x00\x00")
        data = data.replace(
            b"\x00\x01\x03\x00\x01\x00\x00\x00\x10\x00", b"\x00\x01\x03\x00\x01\x00\x00\x00\x20\x4e"
        )
        data = data.replace(
            b"\x01\x01\x03\x00\x01\x00\x00\x00\x10\x00", b"\x01\x01\x03\x00\x01\x00\x00\x00\x20\x4e"
        )
    else:
        data = encoded(PillowImage.new("RGB", (16383, 4000)), "WEBP", lossless=True, method=0, quality=0)
    with pytest.raises(ImageTooLarge):
        decode_image(data)


def test_limits_can_be_set():
    data = encoded(smooth(), "PNG")
    assert decode_image(data, limits=Limits(max_pixels=60 * 44, max_side_px=60, max_bytes=len(data)))
    for limits in (Limits(max_pixels=60 * 44 - 1), Limits(max_side_px=59), Limits(max_bytes=len(data) - 1)):
        with pytest.raises(ImageTooLarge, match=r"raise Limits"):
            decode_image(data, limits=limits)
    with pytest.raises(ValueError, match="positive"):
        Limits(max_bytes=0)


def test_files_are_read(tmp_path):
    path = tmp_path / "王 Žižka.jpg"
    path.write_bytes(encoded(smooth(), "PNG"))  # suffixes lie
    np.testing.assert_array_equal(read_image(path).pixels, np.asarray(smooth()))
    assert read_image(str(path)).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    link = tmp_path / "link.jpg"
    link.symlink_to(path)
    assert read_image(link).width == 60


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.jpg: there is no such file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match="this is a folder"):
        read_image(tmp_path)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError, match="Not a directory"):
        read_image(tmp_path / "file" / "inside.jpg")
    with pytest.raises(InputError, match="cannot be read"):
        read_image("nul\0byte.jpg")
    with pytest.raises(InputError, match="too long"):
        read_image("x" * 5000)


def test_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(DecodeError, match=r"empty\.jpg: the file is empty"):
        read_image(tmp_path / "empty.jpg")


def test_a_loop_of_links_is_an_error(tmp_path):
    (tmp_path / "a.jpg").symlink_to(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"a\.jpg: cannot be read: Too many levels"):
        read_image(tmp_path / "a.jpg")


def test_endless_files_are_not_opened(tmp_path):
    for path in ("/dev/zero", "/dev/null"):
        with pytest.raises(InputError, match="device, pipe or socket"):
            read_image(path)
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would wait for ever
    with pytest.raises(InputError, match="device, pipe or socket"):
        read_image(tmp_path / "pipe.jpg")


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(ImageTooLarge, match="at most 134217728 bytes"):
        read_image(path)


def test_no_permission_is_an_error(tmp_path):
    path = tmp_path / "secret.jpg"
    path.write_bytes(encoded(smooth(), "PNG"))
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # the superuser may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(InputError, match="no permission"):
            read_image(path)
    finally:
        os.seteuid(user)


def test_damaged_pictures_write_nothing_to_the_error_stream(tmp_path):
    data = bytearray(encoded(smooth(400, 300), "JPEG"))
    data[len(data) // 2 : len(data) // 2 + 30] = bytes(range(30))
    (tmp_path / "a.jpg").write_bytes(bytes(data[: len(data) // 2]) + b"\xff\xd9")
    (tmp_path / "b.jpg").write_bytes(bytes(data))
    (tmp_path / "c.png").write_bytes(encoded(smooth(), "PNG")[:-30])
    script = (
        "import sys\nfrom lineament.core.errors import InputError\nfrom lineament.imaging import read_image\n"
        "for path in sys.argv[1:]:\n    try:\n        read_image(path)\n    except InputError:\n        pass\n"
    )
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    run = subprocess.run([sys.executable, "-c", script, *paths], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")
