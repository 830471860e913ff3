import zipfile
from pathlib import Path

import pytest

from lineament.core.errors import DataError
from lineament.evaluation.sets import PictureSource


def test_zip_and_folder_give_the_same_pictures(stored, pictures):
    with PictureSource(stored) as source:
        assert source.names() == tuple(sorted(pictures))
        assert source.read("S3/S3_0002.png") == pictures["S3/S3_0002.png"]
        source.require(list(pictures))


def test_missing_pictures_are_counted_and_the_first_ones_named(stored, pictures):
    gone = [f"T/T_{i:04d}.png" for i in range(1, 8)]
    with PictureSource(stored) as source:
        with pytest.raises(DataError, match=r"7 of 43 pictures .*: T/T_0001\.png, .*T_0005\.png and others"):
            source.require([*pictures, *gone])
        with pytest.raises(DataError, match=r"picture T/T_0001\.png .* cannot be read"):
            source.read(gone[0])


def test_the_digest_follows_names_and_content_but_not_order_or_storage(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    with PictureSource(tmp_path) as source:
        first = source.digest(["a", "b"])
        assert source.digest(["b", "a"]) == first
        assert source.digest(["a"]) != first
        (tmp_path / "b").write_bytes(b"c")
        assert source.digest(["a", "b"]) != first


def test_what_is_no_source_is_refused(tmp_path):
    with pytest.raises(DataError, match="nothing at that path"):
        PictureSource(tmp_path / "gone")
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match="expected a folder or a zip"):
        PictureSource(tmp_path / "x.zip")


FLAGS, METHOD = 8, 10
"""Places of two fields in the entry of a zip's directory."""


def misdescribed(path: Path, place: int, value: int) -> Path:
    """A zip with one stored member, whose directory says something else about it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.jpg", b"\x09\x04\x05\x00" + b"\xff" * 300)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + place] = value
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (FLAGS, 1, "password required"),
        (METHOD, 99, "compression method is not supported"),
        (METHOD, zipfile.ZIP_DEFLATED, "while decompressing"),
        (METHOD, zipfile.ZIP_LZMA, "options"),
    ],
)
def test_members_that_cannot_be_read_are_named(tmp_path, place, value, said):
    path = misdescribed(tmp_path / "x.zip", place, value)
    with PictureSource(path) as source, pytest.raises(DataError, match=said) as caught:
        source.read("a/1.jpg")
    assert "picture a/1.jpg of" in str(caught.value)
    assert "without damage or password" in str(caught.value)
