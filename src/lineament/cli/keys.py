"""``lineament keys``: who may call the service. Needs the extra ``serve``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli.output import JsonFlag, note, print_json, print_table, when

if TYPE_CHECKING:
    from lineament.service.access import ApiKey, KeyFile

app = typer.Typer(
    help="Make, list and revoke the API keys of the service.",
    no_args_is_help=True,
    context_settings={"max_content_width": 110},
)
DAY_S = 86_400.0
KEYS = typer.Option(
    Path("lineament.keys"), "--keys", envvar="LINEAMENT_KEYS", help="File that holds the keys."
)


@app.command()
def create(
    name: str = typer.Argument(help="Who or what uses the key, for people: 'front door'."),
    scope: list[str] = typer.Option(
        ..., "--scope", help="What it may do: read, match, enroll or admin; repeatable, none holds another."
    ),
    gallery: list[str] = typer.Option(
        [], "--gallery", help="Only this gallery; repeatable. All when left out.", show_default=False
    ),
    days: float = typer.Option(365.0, "--days", min=0.0, max=36_500.0, help="How long it works; 0 for ever."),
    per_minute: float = typer.Option(
        600.0, "--per-minute", min=0.01, max=1e9, help="Requests a minute on the long run."
    ),
    burst: int = typer.Option(60, "--burst", min=1, max=10**9, help="Requests at once."),
    keys: Path = KEYS,
    as_json: bool = JsonFlag,
) -> None:
    """Make a key and print it. This is the only time that it can be seen: what is stored is a digest.

    Example: lineament keys create "front door" --scope match --gallery staff --days 90
    """
    file = key_file(keys)
    from lineament.service.access import Scope

    unknown = sorted(set(scope) - set(Scope))
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(unknown)} must be read, match, enroll or admin", param_hint="--scope"
        )
    try:
        text, key = file.create(
            name,
            frozenset(map(Scope, scope)),
            galleries=frozenset(gallery) or None,
            per_minute=per_minute,
            burst=burst,
            valid_s=days * DAY_S or None,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        print_json({"key": text} | _row(key))
    else:
        print(text)
        note(f"{_until(key)}; keep it now, it cannot be shown again")


@app.command("list")
def list_(keys: Path = KEYS, as_json: bool = JsonFlag) -> None:
    """All keys without their secrets, revoked and expired ones too.

    Example: lineament keys list
    """
    found = key_file(keys).list_keys()
    if as_json:
        print_json({"file": str(keys), "keys": [_row(key) for key in found]})
    elif not found:
        note(f"{keys} holds no key yet")
    else:
        rows = [
            (
                key.key_id,
                key.name,
                " ".join(sorted(key.scopes)),
                "all" if key.galleries is None else " ".join(sorted(key.galleries)),
                f"{key.per_minute:g} a minute, {key.burst} at once",
                _until(key),
            )
            for key in found
        ]
        print_table(("key", "name", "scopes", "galleries", "rate", "works"), rows)


@app.command()
def revoke(
    key: str = typer.Argument(help="Id of the key, as in 'lineament keys list'."),
    keys: Path = KEYS,
    as_json: bool = JsonFlag,
) -> None:
    """Make a key useless, in running services too. This cannot be undone.

    Example: lineament keys revoke 4f1a2b3c4d5e
    """
    done = key_file(keys).revoke(key)
    if as_json:
        print_json(_row(done))
    else:
        print(f"{done.key_id} ({done.name}) {_until(done)}")


def key_file(path: Path) -> "KeyFile":
    """The keys at ``path``.

    Raises:
        RuntimeUnavailable: the packages of the service are not installed.
    """
    require_service()
    from lineament.service.access import KeyFile

    return KeyFile(path)


def require_service() -> None:
    """Insist on the packages of the service.

    Raises:
        RuntimeUnavailable: they are not installed.
    """
    from importlib.util import find_spec

    from lineament.core.errors import RuntimeUnavailable

    if find_spec("fastapi") is None:
        raise RuntimeUnavailable('the service is not installed; run pip install "lineament[serve]"')


def _until(key: "ApiKey") -> str:
    if key.revoked_s is not None:
        return f"was revoked {when(key.revoked_s)}"
    return "for ever" if key.expires_s is None else f"until {when(key.expires_s)}"


def _row(key: "ApiKey") -> dict[str, Any]:
    return {
        "id": key.key_id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "galleries": None if key.galleries is None else sorted(key.galleries),
        "per_minute": key.per_minute,
        "burst": key.burst,
        "created": when(key.created_s),
        "expires": None if key.expires_s is None else when(key.expires_s),
        "revoked": None if key.revoked_s is None else when(key.revoked_s),
    }
