"""``lineament serve``: options win over the settings, and nothing public starts without keys."""

from pathlib import Path

import pytest

from lineament.cli.app import run
from lineament.cli.serve import _settings, serve
from lineament.core.errors import ConfigError
from lineament.service import ServiceConfig

NO_OPTIONS = {"host": None, "port": None, "profile": None, "keys": None}


def test_without_anything_it_stays_on_this_machine() -> None:
    assert _settings(None, **NO_OPTIONS) == ServiceConfig()


def test_options_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "lineament.toml"
    file.write_text('[server]\nport = 9000\nhost = "::1"\n[engine]\nprofile = "mobile"\nqueue = 3\n')
    as_written = _settings(file, **NO_OPTIONS)
    assert as_written == ServiceConfig.read(file)
    found = _settings(file, host="localhost", port=0, profile=None, keys=tmp_path / "keys")
    assert (found.server.host, found.server.port) == ("localhost", 0)
    assert (found.engine.profile, found.engine.queue) == ("mobile", 3)
    assert found.access.keys == tmp_path / "keys"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104
def test_refuses_a_public_address_without_keys(host: str) -> None:
    with pytest.raises(ConfigError, match="can be reached from other machines and no key works"):
        serve(config=None, **(NO_OPTIONS | {"host": host}), accept_noncommercial=False)


def test_faults_of_the_settings_are_found_first(tmp_path: Path) -> None:
    file = tmp_path / "lineament.toml"
    file.write_text("[sever]\n[engine]\nqueue = -1\n")
    with pytest.raises(ConfigError, match="have 2 faults"):
        serve(config=file, **NO_OPTIONS, accept_noncommercial=False)


def test_the_environment_names_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lineament.toml"
    file.write_text("[sever]\n")
    monkeypatch.setenv("LINEAMENT_CONFIG", str(tmp_path))  # the folder of accepted licences
    monkeypatch.setenv("LINEAMENT_SETTINGS", str(file))
    assert run(["serve"]) == 2
    said = capsys.readouterr().err
    assert str(file) in said
    assert "sever" in said


def test_unknown_profile() -> None:
    with pytest.raises(ConfigError, match="no profile is called 'nothing'"):
        serve(config=None, **(NO_OPTIONS | {"profile": "nothing"}), accept_noncommercial=False)
