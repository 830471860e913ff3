"""The user's own pip settings, so that weights come from wherever the user's packages come from.

``pip config list`` gives what pip itself would use (files and ``PIP_*`` variables). It only prints settings:
nothing is resolved, built or installed.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from lineament.zoo.files import SourceFailed

SECTIONS = ("global", "install", "download", ":env:")
"""Later sections win over earlier ones, as in ``pip download``; ``install`` counts because people set that one."""
ALIASES = {"default-timeout": "timeout", "pypi-url": "index-url"}
ASK_DEFAULT_INDEX = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
MAX_WAIT_S = 60


@dataclass(frozen=True, slots=True)
class PipSettings:
    """What pip would use to look for packages.

    Attributes:
        indexes: addresses of Simple API indexes, in order; may hold credentials, never show them.
        find_links: folders, files or addresses with links to archives.
        cert: file with trusted certificates; empty for the usual ones.
        client_cert: file with the client's certificate and key; empty for none.
        proxy: address of a proxy; empty for what the environment says.
        trusted_hosts: "host" or "host:port" whose certificate is not checked.
        timeout_s: longest wait for an answer, in seconds.
        retries: how often a request is repeated.
    """

    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    cert: str = ""
    client_cert: str = ""
    proxy: str = ""
    trusted_hosts: tuple[str, ...] = ()
    timeout_s: float = 15.0
    retries: int = 5


def read_pip_settings() -> PipSettings:
    """Settings of the pip of this Python; without pip, those of the ``PIP_*`` variables.

    Raises:
        SourceFailed: pip's answer cannot be understood, or there is neither pip nor an index setting.
    """
    listed = _pip("-m", "pip", "config", "list")
    values = parse_config(listed) if listed is not None else environment_values(os.environ)
    default = "" if _has_index(values) else (_pip("-c", ASK_DEFAULT_INDEX) or "").strip()
    if not default and not _has_index(values) and "find-links" not in values:
        raise SourceFailed(
            "pip is not installed here and PIP_INDEX_URL is not set; install pip or set the variable"
        )
    return settings_from(values, default)


def _pip(*arguments: str) -> str | None:
    """Output of this Python with ``arguments``, None when it fails (pip is not installed)."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=MAX_WAIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceFailed(f"cannot ask pip for its settings: {type(error).__name__}") from error
    return done.stdout if done.returncode == 0 else None


def parse_config(text: str) -> dict[str, str]:
    """Settings by name from the lines ``section.name='value'`` that ``pip config list`` prints.

    Raises:
        SourceFailed: a line of another form.
    """
    sections: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        key, equals, value = line.partition("=")
        section, dot, name = key.strip().rpartition(".")
        try:
            parsed = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parsed = None
        if not equals or not dot or not isinstance(parsed, str):
            # the value may hold a password, so only its place is told
            raise SourceFailed(f"line {number} of \"pip config list\" is not section.name='value'")
        if section in sections:
            sections[section][_canonical(name)] = parsed
    merged: dict[str, str] = {}
    for values in sections.values():
        merged |= values
    return merged


def environment_values(environment: Mapping[str, str]) -> dict[str, str]:
    """Settings by name from ``PIP_*`` variables."""
    return {
        _canonical(key[len("PIP_") :]): value
        for key, value in environment.items()
        if key.startswith("PIP_") and value
    }


def _canonical(name: str) -> str:
    plain = name.lower().replace("_", "-")
    return ALIASES.get(plain, plain)


def _has_index(values: Mapping[str, str]) -> bool:
    return _flag(values.get("no-index", "")) or bool(values.get("index-url", "").strip())


def _flag(value: str) -> bool:
    return value.strip().lower() in {"1", "true", "yes", "on", "y", "t"}


def settings_from(values: Mapping[str, str], default_index: str) -> PipSettings:
    """Typed settings.

    Args:
        values: settings by pip's long option name.
        default_index: index that is used when the settings name none.

    Raises:
        SourceFailed: timeout or retries are not numbers.
    """

    def words(name: str) -> tuple[str, ...]:
        return tuple(values.get(name, "").split())

    indexes = (values.get("index-url", "").strip() or default_index, *words("extra-index-url"))
    try:
        timeout_s = float(values.get("timeout", PipSettings().timeout_s))
        retries = int(values.get("retries", PipSettings().retries))
    except ValueError as error:
        raise SourceFailed(f"pip's timeout and retries must be numbers: {error}") from error
    return PipSettings(
        indexes=() if _flag(values.get("no-index", "")) else tuple(i for i in indexes if i),
        find_links=words("find-links"),
        cert=values.get("cert", ""),
        client_cert=values.get("client-cert", ""),
        proxy=values.get("proxy", ""),
        trusted_hosts=words("trusted-host"),
        timeout_s=timeout_s,
        retries=retries,
    )
