"""pip's settings as pip itself tells them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lineament.zoo.files import SourceFailed
from lineament.zoo.pip_settings import (
    PipSettings,
    environment_values,
    parse_config,
    read_pip_settings,
    settings_from,
)

DEFAULT = "http://127.0.0.1:9/default"


def test_sections_in_the_order_of_pip() -> None:
    text = """
global.index-url='http://127.0.0.1/global'
:env:.timeout='7'
download.index-url='http://127.0.0.1/download'
install.index-url='http://127.0.0.1/install'
list.index-url='http://127.0.0.1/list'
global.default-timeout='3'
global.extra_index_url='http://127.0.0.1/a\\nhttp://127.0.0.1/b file:///c'
"""
    values = parse_config(text)
    assert values == {
        "index-url": "http://127.0.0.1/download",
        "timeout": "7",
        "extra-index-url": "http://127.0.0.1/a\nhttp://127.0.0.1/b file:///c",
    }
    extra = ("http://127.0.0.1/a", "http://127.0.0.1/b", "file:///c")
    assert settings_from(values, DEFAULT).indexes == ("http://127.0.0.1/download", *extra)


def test_every_setting() -> None:
    values = {
        "index-url": "",
        "find-links": "/a /b",
        "cert": "/c.pem",
        "client-cert": "/d.pem",
        "proxy": "http://127.0.0.1:3128",
        "trusted-host": "inside inside:8443",
        "timeout": "2.5",
        "retries": "0",
    }
    assert settings_from(values, DEFAULT) == PipSettings(
        indexes=(DEFAULT,),
        find_links=("/a", "/b"),
        cert="/c.pem",
        client_cert="/d.pem",
        proxy="http://127.0.0.1:3128",
        trusted_hosts=("inside", "inside:8443"),
        timeout_s=2.5,
        retries=0,
    )


@pytest.mark.parametrize(("value", "found"), [("true", ()), ("1", ()), ("no", (DEFAULT,)), ("", (DEFAULT,))])
def test_no_index(value: str, found: tuple[str, ...]) -> None:
    assert settings_from({"no-index": value}, DEFAULT).indexes == found


@pytest.mark.parametrize("line", ["no equals sign", "nodot='x'", "global.index-url=unquoted:secret", "a.b=1"])
def test_line_that_is_not_a_setting_is_not_shown(line: str) -> None:
    with pytest.raises(SourceFailed, match="line 2") as error:
        parse_config(f"global.retries='1'\n{line}")
    assert "secret" not in str(error.value)


def test_timeout_that_is_no_number() -> None:
    with pytest.raises(SourceFailed, match="must be numbers"):
        settings_from({"timeout": "soon"}, DEFAULT)


def test_values_of_the_environment() -> None:
    environment = {"PIP_EXTRA_INDEX_URL": "x", "PIP_DEFAULT_TIMEOUT": "4", "PIP_CERT": "", "OTHER": "y"}
    assert environment_values(environment) == {"extra-index-url": "x", "timeout": "4"}


def test_settings_of_a_configuration_file(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = clean_environment / "pip.conf"
    file.write_text("[global]\nretries = 3\n[download]\nretries = 4\nclient-cert = /x y.pem\n")
    monkeypatch.delenv("PIP_RETRIES")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("PIP_FIND_LINKS", "/links /more")
    settings = read_pip_settings()
    assert (settings.retries, settings.client_cert, settings.find_links) == (
        4,
        "/x y.pem",
        ("/links", "/more"),
    )
    assert settings.indexes == ("http://127.0.0.1:9/simple",)


def test_index_of_pip_when_no_setting_names_one(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clean_environment.is_dir()
    monkeypatch.setenv("PIP_INDEX_URL", "")
    (found,) = read_pip_settings().indexes
    stated = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert found in "".join(stated.split())


def python_without_pip(folder: Path) -> str:
    script = folder / "python"
    script.write_text("#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n")
    script.chmod(0o755)
    return str(script)


def test_without_pip_the_variables_count(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", python_without_pip(clean_environment))
    monkeypatch.setenv("PIP_RETRIES", "2")
    settings = read_pip_settings()
    assert (settings.indexes, settings.retries) == (("http://127.0.0.1:9/simple",), 2)
    monkeypatch.delenv("PIP_INDEX_URL")
    with pytest.raises(SourceFailed, match="pip is not installed here and PIP_INDEX_URL is not set"):
        read_pip_settings()


def test_python_that_cannot_be_started(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(clean_environment / "nothing" / os.sep))
    with pytest.raises(SourceFailed, match="cannot ask pip"):
        read_pip_settings()
