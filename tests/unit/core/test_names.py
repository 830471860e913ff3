"""Names that are never looked at."""

import pytest

from lineament.core.names import is_hidden


@pytest.mark.parametrize(
    "name", [".a.png", "__MACOSX", "__MACOSX/ada/1.jpg", "ada/.thumbs/1.jpg", "ada/.1.jpg", ".", ".."]
)
def test_hidden(name: str) -> None:
    assert is_hidden(name)


@pytest.mark.parametrize(
    "name", ["a.png", "ada/a.b/1.jpg", "__MACOSX2/1.jpg", "my__MACOSX", "/ada/1.jpg", ""]
)
def test_shown(name: str) -> None:
    assert not is_hidden(name)
