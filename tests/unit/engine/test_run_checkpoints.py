"""Checkpoints are whole or not there."""

import errno
import json
import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from lineament.core.errors import TrainingError
from lineament.engine import checkpoint, load_weights
from lineament.engine.checkpoint import CheckpointFolder, read_state, read_tensors

STATE = {"config": {"lr": 0.1}, "losses": [1.5, 0.1]}


def tensors(value: float = 1.0) -> dict[str, dict[str, torch.Tensor]]:
    return {
        "modules": {"net.weight": torch.full((2, 3), value), "net.count": torch.tensor(7)},
        "optimiser": {"momentum_buffer/net.weight": torch.full((2, 3), value / 3)},
    }


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tied = torch.randn(4, 4).t()  # not contiguous, and under two names
    saved = {"modules": {"a": tied, "b": tied, "half": torch.ones(2, dtype=torch.bfloat16)}}
    path = CheckpointFolder(tmp_path, 1).save(12, saved, STATE)
    state = read_state(path)
    assert path.name == "step-00000012"
    assert {key: state[key] for key in STATE} == STATE
    assert state["step"] == 12
    for name, value in read_tensors(path, state)["modules"].items():
        assert value.dtype == saved["modules"][name].dtype
        assert torch.equal(value, saved["modules"][name])


def test_newest_and_best_stay(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, 2)
    for step in (1, 2, 3, 4, 5):
        folder.save(step, tensors(), STATE, best=2 if step >= 2 else None)
    assert folder.steps() == [2, 4, 5]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-0000000{s}" for s in (2, 4, 5)]


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "state", "state_gone", "not_json"])
def test_a_damaged_one_is_skipped(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = CheckpointFolder(tmp_path, 3)
    folder.save(1, tensors(), STATE)
    newest = folder.save(2, tensors(), STATE)
    weights, state = newest / "modules.safetensors", newest / "state.json"
    data = bytearray(weights.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
        weights.write_bytes(data)
    elif damage == "cut":
        weights.write_bytes(data[:-4])
    elif damage == "gone":
        weights.unlink()
    elif damage == "state":
        state.write_text(state.read_text().replace("0.1", "0.2"))
    elif damage == "state_gone":
        state.unlink()
    else:
        state.write_text("[1, 2]")
    with caplog.at_level(logging.WARNING):
        assert folder.newest() == (folder.path(1), read_state(folder.path(1)))
    assert "step-00000002" in caplog.text


def test_a_damaged_one_is_replaced_when_its_step_comes_again(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, 3)
    path = folder.save(2, tensors(), STATE)
    (path / "state.json").write_text("")
    assert folder.newest() is None
    folder.save(2, tensors(2.0), STATE)
    assert read_tensors(path, read_state(path))["modules"]["net.weight"][0, 0] == 2.0


def test_a_full_disk_leaves_older_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = CheckpointFolder(tmp_path, 1)
    folder.save(1, tensors(), STATE)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(TrainingError, match=r"step 2: .*No space left.*\[1\]"):
        folder.save(2, tensors(), STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert folder.newest() == (folder.path(1), read_state(folder.path(1)))


def test_a_killed_write_is_no_checkpoint(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, 1)
    (tmp_path / ".step-00000003.part").mkdir()
    (tmp_path / ".step-00000001.gone").mkdir()
    assert folder.steps() == []
    folder.save(3, tensors(), STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]


def test_weights_are_loaded_by_module_and_the_mean_is_preferred(tmp_path: Path) -> None:
    net, head = nn.Linear(3, 2), nn.Linear(2, 2)
    last = nn.ModuleDict({"net": net, "head": head}).state_dict()
    mean = {name: value + 1 for name, value in last.items()}
    plain = CheckpointFolder(tmp_path / "a", 1).save(1, {"modules": last}, STATE)
    meant = CheckpointFolder(tmp_path / "b", 1).save(1, {"modules": last, "ema": mean}, STATE)
    fresh = nn.Linear(3, 2)
    load_weights(plain, nn.ModuleDict({"net": fresh}))
    assert torch.equal(fresh.weight, net.weight)
    load_weights(meant, nn.ModuleDict({"net": fresh}))
    assert torch.equal(fresh.weight, net.weight + 1)
    with pytest.raises(TrainingError, match="another module"):
        load_weights(plain, nn.ModuleDict({"net": nn.Linear(4, 2)}))
    with pytest.raises(TrainingError, match="cannot be read"):
        load_weights(tmp_path / "c", nn.ModuleDict({"net": fresh}))


def test_state_is_plain_json_with_digests(tmp_path: Path) -> None:
    path = CheckpointFolder(tmp_path, 1).save(1, tensors(), STATE)
    state = json.loads((path / "state.json").read_text())
    assert set(state["files"]) == {"modules.safetensors", "optimiser.safetensors"}
    assert all(len(digest) == 64 for digest in state["files"].values())
    assert {file.suffix for file in path.iterdir()} == {".safetensors", ".json"}


def test_a_damaged_later_one_does_not_push_out_what_was_just_saved(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, 1)
    folder.save(9, tensors(), STATE)
    (folder.path(9) / "state.json").write_text("")
    for step in (4, 6):
        assert folder.save(step, tensors(), STATE).is_dir()
        assert folder.steps() == [step, 9]
    folder.save(10, tensors(), STATE)
    assert folder.steps() == [10]
