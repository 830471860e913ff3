"""Non-commercial weights load only after somebody accepted their terms, in one of four ways."""

from pathlib import Path

import pytest
from fake_index import manifest, weight

from lineament.core.errors import ConfigError, LicenceNotAccepted
from lineament.zoo.licence import (
    ENVIRONMENT,
    accept,
    accept_for_good,
    acceptance_file,
    check_licence,
    forget_acceptances,
    is_accepted,
)

pytestmark = pytest.mark.usefixtures("clean_environment")
TERMS = {"code": "MIT", "weights": "CC-BY-NC-4.0", "data": "web pictures", "commercial_use": False}
CLOSED = manifest(weight(b"x"), name="closed", licence=TERMS)
OTHER = manifest(weight(b"x"), name="other", licence=TERMS)


def test_free_weights_need_nothing() -> None:
    check_licence(manifest(weight(b"x")))
    assert not acceptance_file().exists()


def test_refusal_says_terms_and_ways() -> None:
    with pytest.raises(LicenceNotAccepted) as error:
        check_licence(CLOSED)
    assert all(
        t in str(error.value) for t in ("CC-BY-NC-4.0", "web pictures", "models accept closed", ENVIRONMENT)
    )


@pytest.mark.parametrize(
    ("value", "accepted"),
    [("closed", True), ("all", True), ("x, closed", True), ("close", False), ("", False)],
)
def test_environment(monkeypatch: pytest.MonkeyPatch, value: str, accepted: bool) -> None:
    monkeypatch.setenv(ENVIRONMENT, value)
    assert is_accepted(CLOSED) == accepted


def test_for_the_process() -> None:
    accept("closed")
    check_licence(CLOSED)
    assert not is_accepted(OTHER)
    forget_acceptances()
    assert not is_accepted(CLOSED)


def test_for_good_adds_to_what_was_there() -> None:
    path = accept_for_good("closed")
    assert is_accepted(CLOSED)
    assert not is_accepted(OTHER)
    assert accept_for_good("other") == path == acceptance_file()
    assert is_accepted(CLOSED)
    assert is_accepted(OTHER)


@pytest.mark.parametrize("content", ["", "[]", '{"accepted": [1]}', '{"accepted": "closed"}'])
def test_damaged_file_accepts_nothing(content: str) -> None:
    acceptance_file().parent.mkdir(parents=True)
    acceptance_file().write_text(content)
    with pytest.raises(ConfigError, match=r"licences\.json"):
        check_licence(CLOSED)
    with pytest.raises(ConfigError, match=r"licences\.json"):
        accept_for_good("closed")
    assert acceptance_file().read_text() == content


def test_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("LINEAMENT_CONFIG", str(tmp_path / "a-file"))
    with pytest.raises(ConfigError, match="a-file"):
        accept_for_good("closed")


def test_the_folder_may_be_named_from_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LINEAMENT_CONFIG", "~/settings")
    assert acceptance_file() == tmp_path / "settings" / "licences.json"
