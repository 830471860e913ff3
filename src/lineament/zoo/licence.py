"""The licence gate: non-commercial weights load only after somebody accepted their terms."""

import json
import os
from pathlib import Path

import platformdirs

from lineament.core.errors import ConfigError, LicenceNotAccepted
from lineament.zoo.files import write_atomic
from lineament.zoo.manifest import Manifest

ENVIRONMENT = "LINEAMENT_ACCEPT_NONCOMMERCIAL"
_accepted_here: set[str] = set()


def acceptance_file() -> Path:
    """Where acceptances are kept: ``licences.json`` in the user's configuration folder (``LINEAMENT_CONFIG``)."""
    folder = os.environ.get("LINEAMENT_CONFIG") or platformdirs.user_config_dir("lineament")
    return Path(folder).expanduser() / "licences.json"


def accept(name: str) -> None:
    """Accept the non-commercial terms of a model ("all" for every model) until this process ends."""
    _accepted_here.add(name)


def forget_acceptances() -> None:
    """Withdraw what :func:`accept` accepted in this process."""
    _accepted_here.clear()


def accept_for_good(name: str) -> Path:
    """Accept the non-commercial terms of a model for this user; returns the file that records it.

    Raises:
        ConfigError: the file is damaged, or its folder cannot be written.
    """
    path = acceptance_file()
    names = sorted(_read(path) | {name})
    try:
        write_atomic(path, json.dumps({"accepted": names}, indent=1).encode() + b"\n")
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}; or set {ENVIRONMENT}={name} instead"
        ) from error
    return path


def _read(path: Path) -> set[str]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return set()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read accepted licences from {path}: {error}; delete the file") from error
    names = content.get("accepted") if isinstance(content, dict) else None
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise ConfigError(
            f'{path} must hold {{"accepted": [model names]}}; delete it or accept the licences again'
        )
    return set(names)


def is_accepted(manifest: Manifest) -> bool:
    """True when the weights may be used: commercially free, or their terms were accepted."""
    if manifest.licence.commercial_use:
        return True
    wanted = {manifest.name, "all"}
    in_environment = {name.strip() for name in os.environ.get(ENVIRONMENT, "").split(",")}
    return bool(wanted & (_accepted_here | in_environment)) or bool(wanted & _read(acceptance_file()))


def check_licence(manifest: Manifest) -> None:
    """Refuse non-commercial weights whose terms nobody accepted.

    Raises:
        LicenceNotAccepted: says the licence and how to accept it.
    """
    if is_accepted(manifest):
        return
    raise LicenceNotAccepted(
        f"{manifest.name} is not for commercial use (weights: {manifest.licence.weights}; "
        f"data: {manifest.licence.data}); if your use is allowed, run "
        f'"lineament models accept {manifest.name}" or set {ENVIRONMENT}={manifest.name}'
    )
