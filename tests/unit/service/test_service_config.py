"""Settings of the service: read whole, with every fault at once."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from lineament.core.errors import ConfigError
from lineament.service import ServiceConfig


def write(folder: Path, text: str) -> Path:
    path = folder / "lineament.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_stay_on_this_machine() -> None:
    config = ServiceConfig()
    assert config.server.host == "127.0.0.1"
    assert config.access.keys is None
    assert config.access.origins == ()
    assert config.limits.pending_bytes >= config.limits.body_bytes


def test_paths_are_beside_the_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[audit]\nfolder = "log"\n[access]\nkeys = "/elsewhere/keys"\norigins = ["https://pages.example"]\n'
        '[limits]\nfaces = 3\nwork_s = 2\n[gallery]\ndsn = "host=db"\n',
    )
    config = ServiceConfig.read(path)
    assert config.audit.folder == tmp_path / "log"
    assert config.gallery.folder == tmp_path / "galleries"
    assert config.access.keys == Path("/elsewhere/keys")
    assert config.access.origins == ("https://pages.example",)
    assert (config.limits.faces, config.limits.work_s, config.gallery.dsn) == (3, 2.0, "host=db")


def test_sections_that_are_left_out_are_beside_the_file_too(tmp_path: Path) -> None:
    config = ServiceConfig.read(write(tmp_path, ""))
    assert config.gallery.folder == tmp_path / "galleries"
    assert config.audit.folder == tmp_path / "lineament.audit"
    assert config.limits == ServiceConfig().limits


def test_settings_of_the_guide_are_the_defaults() -> None:
    guide = (Path(__file__).resolve().parents[3] / "docs" / "serve.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    document = tomllib.loads(shown)
    assert ServiceConfig.model_validate(document) == ServiceConfig()
    assert set(document) == set(ServiceConfig.model_fields)
    for section, values in document.items():
        commented = re.findall(
            r"^# (\w+) =", shown.partition(f"[{section}]")[2].partition("\n[")[0], re.MULTILINE
        )
        assert {*values, *commented} >= set(type(getattr(ServiceConfig(), section)).model_fields) - {"dsn"}


def test_all_faults_are_listed_with_the_nearest_name(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[server]\nport = 70000\nhots = "x"\n[limit]\n[engine]\nbackend = "tensorrt"\nworkers = "two"\n'
        "[limits]\nbody_bytes = 4096\npending_bytes = 2048\n",
    )
    with pytest.raises(ConfigError) as caught:
        ServiceConfig.read(path)
    message = str(caught.value)
    assert f"settings {path} have 6 faults" in message
    for part in (
        "server.port: Input should be less than or equal to 65535",
        'server.hots: there is no such setting; did you mean "host"?',
        'limit: there is no such setting; did you mean "limits"?',
        "engine.backend: Input should be 'auto', 'onnxruntime' or 'openvino'",
        "engine.workers: Input should be a valid integer",
        "pending_bytes must be at least body_bytes",
    ):
        assert part in message


@pytest.mark.parametrize("text", ["server", "[server]\nport = \n", "\xff"])
def test_what_is_no_toml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lineament.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="are not TOML"):
        ServiceConfig.read(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        ServiceConfig.read(tmp_path / "none.toml")


def test_settings_cannot_change() -> None:
    with pytest.raises(ValidationError):
        ServiceConfig().server.port = 1  # type: ignore[misc]
