"""Checkpoints without pickle: safetensors and JSON, written aside, checked when read.

A checkpoint is a folder ``step-00001000`` of ``modules.safetensors``, ``optimiser.safetensors``,
``ema.safetensors`` (when there is a mean) and ``state.json``, which holds the SHA-256 of the others and of
itself.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lineament.core.errors import TrainingError
from lineament.engine.config import digest
from lineament.engine.sharding import shared_out

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"step-(\d{8,})")
_STATE = "state.json"
Tensors = Mapping[str, Mapping[str, Tensor]]
"""Tensors by file ("modules", "optimiser", "ema") and name."""


class CheckpointFolder:
    """The checkpoints of one run.

    Args:
        folder: where they lie; made when it is missing.
        keep: newest ones that stay.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self._keep = keep

    def steps(self) -> list[int]:
        """Steps of all checkpoints, sound or not, increasing."""
        if not self.folder.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self.folder.iterdir() if path.is_dir())
        return sorted(int(name[1]) for name in names if name)

    def path(self, step: int) -> Path:
        """Where the checkpoint after a number of steps lies."""
        return self.folder / f"step-{step:08d}"

    def save(self, step: int, tensors: Tensors, state: Mapping[str, Any], *, best: int | None = None) -> Path:
        """Write a checkpoint and drop those that are no longer kept.

        Args:
            step: steps done.
            tensors: what is saved; see the module.
            state: plain JSON values.
            best: step of a checkpoint that stays however old it is.

        Raises:
            TrainingError: it cannot be written (no space, no permission); older checkpoints are untouched.
        """
        path = self.path(step)
        aside = self.folder / f".{path.name}.part"
        try:
            for left in self.folder.glob(".step-*"):  # by a run that was killed while it wrote or deleted
                shutil.rmtree(left, ignore_errors=True)
            aside.mkdir(parents=True)
            _write(aside, tensors, {"step": step, **state})
            if path.exists():  # a damaged one that a resumed run has come past again
                shutil.rmtree(path)
            aside.rename(path)
            _sync(self.folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise TrainingError(
                f"step {step}: checkpoint {path} cannot be written: {error}; "
                f"steps with a checkpoint: {self.steps() or 'none'}; free space and resume"
            ) from error
        self._drop(step, best)
        return path

    def _drop(self, saved: int, best: int | None) -> None:
        # Later ones are damaged, for the run would have gone on from them; they must not push out this one.
        past = [step for step in self.steps() if step <= saved]
        for step in past[: -self._keep]:
            if step != best:
                gone = self.folder / f".{self.path(step).name}.gone"
                self.path(step).rename(gone)  # a half-deleted folder must not look like a checkpoint
                shutil.rmtree(gone)

    def newest(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest sound checkpoint and its state; damaged ones are skipped with a warning."""
        for step in reversed(self.steps()):
            path = self.path(step)
            try:
                return path, read_state(path)
            except TrainingError as error:
                _LOG.warning("skipped a damaged checkpoint: %s", error)
        return None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _write(folder: Path, tensors: Tensors, state: Mapping[str, Any]) -> None:
    files = {}
    for kind, values in tensors.items():
        file = folder / f"{kind}.safetensors"
        # Copied one by one: tied weights share memory, which the format does not know.
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in values.items()}, file)
        _sync(file)
        files[file.name] = _sha256(file)
    body = {**state, "files": files}
    text = json.dumps({"digest": digest(body), **body}, indent=2, allow_nan=False)
    (folder / _STATE).write_text(text + "\n", encoding="utf-8")
    _sync(folder / _STATE)
    _sync(folder)


def read_state(path: Path) -> dict[str, Any]:
    """``state.json`` of a checkpoint, after all its files were checked.

    Raises:
        TrainingError: something is missing or damaged; names the file.
    """
    try:
        state = json.loads((path / _STATE).read_text(encoding="utf-8"))
        told = state.pop("digest")
        if told != digest(state):
            raise TrainingError(f"{path / _STATE}: expected digest {told}, got {digest(state)}")
        for name, expected in state["files"].items():
            found = _sha256(path / name)
            if found != expected:
                raise TrainingError(f"{path / name}: expected sha256 {expected}, got {found}")
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error}") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise TrainingError(f"{path / _STATE}: not the state of a checkpoint: {error!r}") from error
    return dict(state)


def read_tensors(path: Path, state: Mapping[str, Any]) -> dict[str, dict[str, Tensor]]:
    """Tensors of a checkpoint by file and name, in plain memory."""
    return {Path(name).stem: load_file(path / name) for name in state["files"]}


def load_weights(path: Path, modules: nn.ModuleDict) -> None:
    """Load the weights that a checkpoint would export: the mean if it has one, else the last ones.

    Args:
        path: a checkpoint; see :attr:`RunResult.checkpoint` and :attr:`RunResult.best`.
        modules: some or all of the modules that were trained, by the same names.

    Raises:
        TrainingError: the checkpoint is damaged or its names or shapes are others.
    """
    tensors = read_tensors(path, read_state(path))
    weights = shared_out(modules, tensors.get("ema", tensors["modules"]))
    for name, module in modules.items():
        own = {key[len(name) + 1 :]: value for key, value in weights.items() if key.startswith(name + ".")}
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            raise TrainingError(
                f"{path}: weights of {name!r} are those of another module: {error}"
            ) from error
