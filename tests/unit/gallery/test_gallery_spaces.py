"""The embedding space of a file, asked without a model."""

import os
import sqlite3

import pytest

from lineament.core.errors import GalleryCorrupt, GalleryError, GalleryNotFound
from lineament.gallery import Gallery, exported_space, stored_space

SPACE = "space-a"


def test_the_space_is_what_the_gallery_was_made_with(path, gallery, draw):
    gallery.enroll("ada", draw(1)[0])
    assert stored_space(path) == SPACE  # while another connection is open
    gallery.close()
    before = path.read_bytes()
    assert stored_space(path) == SPACE
    assert path.read_bytes() == before


def test_what_is_no_gallery_has_no_space(path, tmp_path):
    with pytest.raises(GalleryNotFound, match="no gallery"):
        stored_space(path)
    with pytest.raises(GalleryError, match="is a folder"):
        stored_space(tmp_path)
    path.touch()
    with pytest.raises(GalleryCorrupt, match="is empty"):
        stored_space(path)
    assert path.read_bytes() == b""
    path.write_text("subject,photo\n" * 1000)
    with pytest.raises(GalleryCorrupt, match="not a sound gallery"):
        stored_space(path)


def test_a_newer_layout_is_not_guessed(path, gallery):
    gallery.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=3")
    connection.close()
    with pytest.raises(GalleryError, match="layout 3"):
        stored_space(path)


def test_the_space_of_an_export(path, gallery, draw, tmp_path):
    gallery.enroll("ada", draw(1)[0])
    out = tmp_path / "staff.export"
    gallery.export(out)
    assert exported_space(out) == SPACE
    with pytest.raises(GalleryNotFound):
        exported_space(tmp_path / "nothing")
    os.truncate(out, 40)
    with pytest.raises(GalleryCorrupt, match="not a sound export"):
        exported_space(out)
    with pytest.raises(GalleryCorrupt, match="not a sound export"):
        exported_space(path)  # a gallery, not an export
    with Gallery.open(path, space=SPACE) as again:
        assert again.size.samples == 1
