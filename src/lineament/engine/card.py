"""The run card: what was trained on what, how, and what came of it, as JSON, Markdown and a picture."""

import io
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from lineament.engine.log import read_log, write_whole

_PACKAGES = ("lineament", "torch", "numpy", "safetensors")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a run depends on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def environment(device: str, world: int) -> dict[str, Any]:
    """What a run ran on. No names of machines or people."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "ranks": world,
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        **versions(),
    }


def write_card(out: Path, state: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Write ``card.json``, ``card.md`` and, when matplotlib is installed, ``loss.png``.

    Args:
        out: folder of the run; its log is read.
        state: of the last checkpoint: config, config_digest, facts.
        run: other facts by name (environment, measures, wall time), plain JSON values.

    Raises:
        TrainingError: a file cannot be written.
    """
    card = {
        **run,
        "facts": state["facts"],
        "config_digest": state["config_digest"],
        "config": state["config"],
    }
    write_whole(out / "card.json", (json.dumps(card, indent=2) + "\n").encode())
    lines = read_log(out, state["step"])
    picture = _loss_picture(lines)
    if picture is not None:
        write_whole(out / "loss.png", picture)
    write_whole(out / "card.md", _markdown(card, lines, pictured=picture is not None).encode())


def _table(rows: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines: list[str] = []
    for name, value in rows.items():
        if isinstance(value, Mapping):
            lines += _table(value, f"{prefix}{name}.")
        else:
            lines.append(f"| {prefix}{name} | {json.dumps(value, ensure_ascii=False)} |")
    return lines


def _section(title: str, rows: Mapping[str, Any]) -> list[str]:
    return ["", f"## {title}", "", "| | |", "|---|---|", *_table(rows)] if rows else []


def _markdown(card: Mapping[str, Any], lines: list[dict[str, Any]], *, pictured: bool) -> str:
    measured = [line for line in lines if "measures" in line]
    names = sorted({name for line in measured for name in line["measures"]})
    text = ["# Training run", "", "![loss by step](loss.png)"] if pictured else ["# Training run"]
    text += _section("Result", card["result"])
    if names:
        text += ["", "## Measures", "", f"| step | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for line in measured:
            values = (line["measures"].get(name) for name in names)
            text.append(f"| {line['step']} | {' | '.join('' if v is None else f'{v:.5g}' for v in values)} |")
    text += _section("Data", card["facts"])
    text += _section("Environment", card["environment"])
    text += _section("Settings", {"digest": card["config_digest"], **card["config"]})
    return "\n".join(text) + "\n"


def _loss_picture(lines: list[dict[str, Any]]) -> bytes | None:
    losses = [(line["step"], line["loss"]) for line in lines if line.get("loss") is not None]
    if not losses:
        return None
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*losses, strict=True), color="#0072B2", linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    if min(loss for _, loss in losses) > 0:
        axes.set_yscale("log")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    return stream.getvalue()
