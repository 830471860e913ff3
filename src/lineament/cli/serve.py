"""``lineament serve``: the engine and the galleries over HTTP. Needs the extra ``serve``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli import common
from lineament.cli.keys import require_service

if TYPE_CHECKING:
    from lineament.service import ServiceConfig


def serve(
    config: Path = typer.Option(
        None, "--config", envvar="LINEAMENT_SETTINGS", help="Settings (TOML).", show_default=False
    ),
    host: str = typer.Option(
        None,
        "--host",
        help="Name or address to listen on; 127.0.0.1 unless told otherwise.",
        show_default=False,
    ),
    port: int = typer.Option(
        None, "--port", min=0, max=65535, help="TCP port; 8000 unless told otherwise.", show_default=False
    ),
    profile: str = typer.Option(
        None, "--profile", envvar="LINEAMENT_PROFILE", help="Models and rules to use.", show_default=False
    ),
    keys: Path = typer.Option(
        None, "--keys", envvar="LINEAMENT_KEYS", help="File that holds the API keys.", show_default=False
    ),
    accept_noncommercial: bool = common.ACCEPT,
) -> None:
    """Serve verification, identification and galleries over HTTP, on this machine unless told otherwise.

    Options win over the settings. A service that others can reach needs keys. On SIGTERM or Ctrl+C it takes no more
    requests and finishes those that it accepted.

    Examples: lineament serve · lineament serve --config lineament.toml ·
    lineament serve --host 0.0.0.0 --keys lineament.keys
    """
    require_service()
    from lineament.service.access import check_bind
    from lineament.service.app import key_file
    from lineament.service.logs import log_to_stderr
    from lineament.service.server import serve as serve_until_stopped

    settings = _settings(config, host=host, port=port, profile=profile, keys=keys)
    check_bind(settings.server.host, key_file(settings))
    common.fetch_profile(settings.engine.profile, accept_noncommercial)
    log_to_stderr()
    serve_until_stopped(settings)


def _settings(config: Path | None, **options: Any) -> "ServiceConfig":
    """The settings of the file with the options that were given in their places."""
    from lineament.service import ServiceConfig

    found = ServiceConfig() if config is None else ServiceConfig.read(config)
    places = {"host": "server", "port": "server", "profile": "engine", "keys": "access"}
    for name, value in options.items():
        if value is not None:
            section = getattr(found, places[name]).model_copy(update={name: value})
            found = found.model_copy(update={places[name]: section})
    return found
