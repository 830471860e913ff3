"""``lineament models`` on made-up models in a temporary registry."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from lineament.cli.app import run
from lineament.zoo import licence
from lineament.zoo.manifest import Manifest

Command = Callable[..., tuple[int, str, str]]


def network(seed: int) -> bytes:
    kernel = np.random.default_rng(seed).normal(size=(2, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "k"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, 6, 6])],
        [numpy_helper.from_array(kernel, "k")],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    ).SerializeToString()


def made_up(name: str, data: bytes, *, commercial_use: bool, task: str = "detection") -> Manifest:
    return Manifest.model_validate(
        {
            "schema": 1,
            "name": name,
            "task": task,
            "factory": "nowhere:Nothing",
            "summary": "Made up.",
            "publisher": "nobody",
            "dimension": 4 if task == "embedding" else 0,
            "weights": [
                {"file": f"{name}.onnx", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            ],
            "licence": {
                "code": "MIT",
                "weights": "their terms",
                "data": "d",
                "commercial_use": commercial_use,
            },
            "input": {"colour": "RGB", "shape": ["N", 3, 8, 8], "mean": [0.0] * 3, "std": [1.0] * 3},
        }
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A registry of three models, two of them in a weights folder, and nothing of the machine's settings."""
    data = {name: network(seed) for seed, name in enumerate(("free", "closed", "away"))}
    models = {
        "free": made_up("free", data["free"], commercial_use=True),
        "closed": made_up("closed", data["closed"], commercial_use=False, task="embedding"),
        "away": made_up("away", data["away"], commercial_use=True),
    }
    (tmp_path / "weights").mkdir()
    for name in ("free", "closed"):
        (tmp_path / "weights" / f"{name}.onnx").write_bytes(data[name])
    monkeypatch.setattr("lineament.zoo.manifest.list_models", lambda: MappingProxyType(models))
    monkeypatch.setenv("LINEAMENT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("LINEAMENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LINEAMENT_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("LINEAMENT_ACCEPT_NONCOMMERCIAL", raising=False)
    monkeypatch.delenv("LINEAMENT_OFFLINE", raising=False)
    yield tmp_path
    licence.forget_acceptances()


@pytest.fixture
def models(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    assert folder.is_dir()

    def command(*words: str) -> tuple[int, str, str]:
        code = run(["models", *words])
        return code, *capsys.readouterr()

    return command


def test_list(models: Command) -> None:
    code, out, err = models("list")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines() if line.strip()]
    assert ["free", "detection", "0.0", "MB", "yes", "folder"] in rows
    assert ["closed", "embedding", "0.0", "MB", "no", "folder"] in rows
    assert ["away", "detection", "0.0", "MB", "yes", "absent"] in rows
    listed = json.loads(models("list", "--json", "--task", "embedding")[1])
    assert [(m["name"], m["commercial_use"]) for m in listed] == [("closed", False)]


def test_list_of_an_unknown_task(models: Command) -> None:
    code, out, err = models("list", "--task", "dancing")
    assert (code, out) == (2, "")
    assert "one of detection, landmarks, embedding, restore" in err


def test_info(models: Command) -> None:
    code, out, _ = models("info", "closed")
    assert code == 0
    facts = dict(line.split("  ", 1) for line in out.splitlines())
    assert {k: v.strip() for k, v in facts.items()}["licence, weights"] == "their terms"
    document = json.loads(models("info", "closed", "--json")[1])
    assert (document["schema"], document["dimension"], document["where"]) == (1, 4, "folder")
    code, out, err = models("info", "unknown")
    assert (code, out) == (5, "")
    assert err == "lineament: error: no model is called 'unknown'; there are: free, closed, away\n"


def test_fetch_and_path(models: Command, folder: Path) -> None:
    code, out, err = models("fetch", "free", "--json")
    assert (code, err) == (0, "")
    path = str(folder / "weights" / "free.onnx")
    assert json.loads(out) == [{"name": "free", "files": {"model": path}}]
    assert models("path", "free") == (0, f"{path}\n", "")
    assert path in models("fetch", "free")[1]


def test_fetch_what_nobody_has(models: Command) -> None:
    for words in (("fetch", "away"), ("path", "away")):
        code, out, err = models(*words)
        assert (code, out) == (5, "")
        assert err.startswith("lineament: error: weights for away: no source could give away.onnx")


def test_fetch_everything_leaves_out_and_says_why(models: Command) -> None:
    code, out, err = models("fetch", "--all", "--json")
    assert (code, [m["name"] for m in json.loads(out)]) == (0, ["free"])
    assert "closed left out: its terms are not accepted" in err
    assert "away left out: no source can be asked; put it into a weights folder" in err


def test_fetch_everything_goes_on_after_a_failure(models: Command, folder: Path) -> None:
    path = folder / "weights" / "free.onnx"
    path.write_bytes(bytes(path.stat().st_size))
    code, out, err = models("fetch", "--all", "--accept-noncommercial", "--json")
    assert (code, [m["name"] for m in json.loads(out)]) == (5, ["closed"])
    assert "lineament: error: weights for free: no source could give free.onnx" in err


@pytest.mark.parametrize("words", [("fetch",), ("fetch", "free", "--all")])
def test_fetch_needs_names_or_all(models: Command, words: tuple[str, ...]) -> None:
    code, _, err = models(*words)
    assert code == 2
    assert "give names of models, or --all" in err


def test_terms_must_be_accepted(models: Command, folder: Path) -> None:
    code, out, err = models("fetch", "closed")
    assert (code, out) == (5, "")
    assert 'run "lineament models accept closed"' in err
    assert models("fetch", "closed", "--accept-noncommercial")[0] == 0
    licence.forget_acceptances()  # the flag counts for one command only
    assert models("path", "closed")[0] == 5
    code, out, _ = models("accept", "closed")
    assert code == 0
    assert "their terms" in out
    assert str(folder / "config") in out
    assert models("path", "closed")[0] == 0


def test_accepting_an_unknown_model(models: Command, folder: Path) -> None:
    assert models("accept", "nothing")[0] == 5
    assert not (folder / "config").exists()
    assert json.loads(models("accept", "all", "--json")[1])["accepted"] == "all"
    assert models("path", "closed")[0] == 0


def test_verify(models: Command, folder: Path) -> None:
    models("fetch", "free")
    code, out, err = models("verify", "free")
    assert (code, err) == (0, "")
    assert "1 of 1 sound" in out
    (folder / "weights" / "free.onnx").write_bytes(b"damaged")
    code, out, err = models("verify")
    assert code == 5
    assert "damaged" in out
    assert hashlib.sha256(b"damaged").hexdigest() in err
    code, out, _ = models("verify", "free", "--json")
    (found,) = json.loads(out)
    assert (code, found["sound"], len(found["files"])) == (5, False, 1)


def test_verify_what_is_not_here(models: Command) -> None:
    code, out, _ = models("verify", "away")
    assert code == 5
    assert "not fetched" in out
    assert models("verify", "--backend", "abacus")[0] == 2


@pytest.mark.parametrize("word", ["list", "info", "fetch", "verify", "path", "accept"])
def test_help_has_an_example(models: Command, word: str) -> None:
    code, out, _ = models(word, "--help")
    assert code == 0
    assert f"lineament models {word}" in " ".join(out.split())
