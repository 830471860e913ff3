from pathlib import Path

import pytest

from lineament.core.errors import InputError
from lineament.imaging import find_images


@pytest.fixture
def shelf(tmp_path):
    for name in (
        "b.JPG",
        "a.png",
        "sub/c.webp",
        "sub/deep/d.heic",
        ".hidden.jpg",
        ".git/e.jpg",
        "notes.txt",
        "[1].png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(paths, shelf):
    return [path.relative_to(shelf).as_posix() for path in paths]


def test_a_folder_gives_its_pictures_sorted(shelf):
    found = find_images([shelf])
    assert names(found, shelf) == ["[1].png", "a.png", "b.JPG", "sub/c.webp", "sub/deep/d.heic"]
    assert all(isinstance(path, Path) for path in found)


def test_files_are_taken_as_they_are(shelf):
    found = find_images([str(shelf / "notes.txt"), shelf / ".hidden.jpg", shelf / "[1].png"])
    assert names(found, shelf) == ["notes.txt", ".hidden.jpg", "[1].png"]


def test_patterns_are_expanded(shelf):
    assert names(find_images([f"{shelf}/*.png"]), shelf) == ["[1].png", "a.png"]
    assert names(find_images([f"{shelf}/**/*.heic"]), shelf) == ["sub/deep/d.heic"]
    assert names(find_images([f"{shelf}/s*"]), shelf) == ["sub/c.webp", "sub/deep/d.heic"]


def test_each_file_comes_once_in_the_order_of_the_arguments(shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    found = find_images(["b.JPG", "./b.JPG", "sub/../b.JPG", shelf / "a.png", "sub", "sub/deep"])
    assert found == [Path("b.JPG"), shelf / "a.png", Path("sub/c.webp"), Path("sub/deep/d.heic")]


def test_links_to_folders_do_not_run_in_circles(shelf):
    (shelf / "sub" / "up").symlink_to(shelf)
    assert len(find_images([shelf])) == 5


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("gone.jpg", "there is no such file or folder"),
        ("*.tiff", "no file matches this pattern"),
        (".git/empty", "no picture in this folder"),
        ("x" * 5000, "cannot be read"),
    ],
)
def test_nothing_there_is_an_error_that_names_it(shelf, argument, words):
    (shelf / ".git" / "empty").mkdir()
    with pytest.raises(InputError, match=words) as caught:
        find_images([shelf / "a.png", f"{shelf}/{argument}"])
    assert argument in str(caught.value)


def test_a_folder_of_other_files_is_an_error(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="no picture in this folder"):
        find_images([tmp_path])


def test_no_arguments_give_no_files():
    assert find_images([]) == []
