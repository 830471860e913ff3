"""Writes the generated pages of the reference: commands, errors and exit codes, models, the HTTP interface.

``python docs/generate.py`` writes them; a test compares them with what is committed.
"""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import typer.main

from lineament.cli import exits
from lineament.cli.app import app
from lineament.core import errors
from lineament.service import ServiceConfig, create_app
from lineament.service.config import AuditSettings
from lineament.zoo.manifest import BundledSource, Manifest, PackageSource, UrlSource, list_models
from lineament.zoo.profiles import list_profiles

FOLDER = Path(__file__).parent / "reference"
HEAD = "<!-- written by docs/generate.py; change the source, then run `make docs` -->\n"


def commands() -> str:
    """Every command with its help."""
    root = typer.main.get_command(app)
    parts = [HEAD, "# Commands\n", f"{root.help}\n", f"{root.epilog}\n"]
    for path, command in walk(root, ("lineament",)):
        context = click.Context(command, info_name=" ".join(path))
        usage = command.get_usage(context).removeprefix("Usage: ")
        parts += [f"## {' '.join(path)}\n", f"`{usage}`\n", inspect.cleandoc(command.help or "") + "\n"]
        rows = [p.get_help_record(context) for p in command.params]
        parts += [f"- `{row[0]}` {row[1]}" for row in rows if row and row[0] != "--help"]
        parts.append("")
    return "\n".join(parts)


def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Leaf commands with the words that call them, in the order of the help."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from walk(child, (*path, name))


def failures() -> str:
    """The error tree and the exit codes."""
    tree = inspect.cleandoc(errors.__doc__ or "").replace("::\n", "```text", 1)
    body, _, rest = tree.partition("\nExpected outcomes")
    codes = inspect.cleandoc(exits.__doc__ or "").split("\n")
    rows = [line.split(None, 1) for line in codes if line[:1].isdigit()]
    table = "\n".join(f"| {code} | {meaning} |" for code, meaning in rows)
    return (
        f"{HEAD}\n# Errors and exit codes\n\n{body.rstrip()}\n```\n\nExpected outcomes{rest}\n\n"
        f"## Exit codes of the command line\n\n| code | meaning |\n|---|---|\n{table}\n"
    )


def models() -> str:
    """One card for each model, and the profiles."""
    parts = [
        HEAD,
        "# Models and profiles\n",
        "| profile | detector | embedder | precision | what |",
        "|---|---|---|---|---|",
    ]
    rows = [(p.name, p.detector, p.embedder, p.precision, p.summary) for p in list_profiles().values()]
    parts += [f"| {' | '.join(row)} |" for row in rows]
    parts.append("")
    for manifest in list_models().values():
        parts += card(manifest)
    return "\n".join(parts)


def card(manifest: Manifest) -> Iterator[str]:
    """Lines of one model card."""
    spec, licence = manifest.input, manifest.licence
    yield f"## {manifest.name}\n"
    yield f"{manifest.summary}\n"
    yield f"- task: {manifest.task}"
    yield f"- published by: {manifest.publisher}"
    if manifest.paper:
        yield f"- paper: {manifest.paper}"
    allowed = "allowed by the licences" if licence.commercial_use else "**not allowed**"
    yield f"- licences: code {licence.code}; weights {licence.weights}; data {licence.data}; commercial use {allowed}"
    shape = " × ".join(str(n) for n in spec.shape)
    crop = f", crop template {spec.template}" if spec.template else ""
    yield f"- input: {spec.colour}, {shape}, (pixel − {list(spec.mean)}) / {list(spec.std)}{crop}"
    for weight in manifest.weights:
        source = "; ".join(map(origin, weight.sources)) or "a weights folder"
        yield f"- weights: `{weight.file}`, {weight.bytes:,} bytes, sha256 `{weight.sha256}`; from {source}"
    for key, value in manifest.settings.items():
        yield f"- setting `{key}` = {value:g}"
    for m in manifest.metric:
        interval = f" [{m.interval95[0]:g}, {m.interval95[1]:g}]" if m.interval95 else ""
        by = f"measured, `{m.report}`" if m.measured_by == "us" else "as published"
        yield f"- {m.name} {m.value:g}{interval} ({m.protocol}; {by})"
    yield ""


def origin(source: PackageSource | UrlSource | BundledSource) -> str:
    """Where a weight file may come from, in words."""
    if source.kind == "url":
        return source.url
    return "this package" if source.kind == "bundled" else f"{source.package} {source.version}"


def http() -> str:
    """The OpenAPI document of the service."""
    with TemporaryDirectory() as folder:
        config = ServiceConfig(audit=AuditSettings(folder=Path(folder)))
        return json.dumps(create_app(config).openapi(), indent=1, ensure_ascii=False)


PAGES = {"cli.md": commands, "errors.md": failures, "models.md": models, "openapi.json": http}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page().rstrip() + "\n", encoding="utf-8")
