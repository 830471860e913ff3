"""What ``lineament doctor`` finds in installations that lack one thing or another."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lineament.cli.app import run
from lineament.core.errors import RuntimeUnavailable
from lineament.embedding import space_id
from lineament.pipeline.health import check_profile, how_to_get
from lineament.zoo import calibration, licence, records
from lineament.zoo.manifest import find_model
from lineament.zoo.options import FetchOptions
from lineament.zoo.profiles import find_profile
from lineament.zoo.session import Runtime
from lineament.zoo.store import DIGESTS, derived_folder
from made_up_calibration import made_up_record


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine that has nothing but the packages."""
    for name in ("WEIGHTS", "OFFLINE", "ACCEPT_NONCOMMERCIAL", "GALLERY", "PROFILE"):
        monkeypatch.delenv(f"LINEAMENT_{name}", raising=False)
    for name in ("CACHE", "CONFIG", "CALIBRATION"):
        monkeypatch.setenv(f"LINEAMENT_{name}", str(tmp_path / name.lower()))
    # the records that come with the package would hide that one is missing
    monkeypatch.setattr(records, "record_folders", lambda: iter([records.user_calibration_folder()]))
    monkeypatch.setattr(calibration, "record_folders", records.record_folders)
    yield tmp_path
    licence.forget_acceptances()


def put_weights(names: tuple[str, ...]) -> None:
    """Leave the traces by which converted models are recognised."""
    for name in names:
        folder = derived_folder(find_model(name), FetchOptions.from_environment())
        folder.mkdir(parents=True)
        (folder / DIGESTS).write_text("{}")


def put_calibration(folder: Path, space: str) -> None:
    made_up_record(space, {1e-3: 0.8}, n_nonmated=30_000).save(folder)


PROFILE = find_profile("open")
EMBEDDER, _, OPTION = PROFILE.embedder.partition("+")
SPACE = space_id(find_model(EMBEDDER), PROFILE.precision, flip=OPTION == "flip")


def complete(machine: Path) -> None:
    put_weights((PROFILE.detector, EMBEDDER))
    put_calibration(machine / "calibration", SPACE)


def test_a_complete_machine_can_run(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    complete(machine)
    assert run(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "profile open can run" in said
    assert SPACE in said
    assert "0.001" in said


def test_an_empty_machine_says_what_to_do(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 5
    found = json.loads(capsys.readouterr().out)
    assert found["ready"] is False
    for word in (f"models fetch {PROFILE.detector}", f"models fetch {EMBEDDER}", "no calibration record"):
        assert any(word in problem for problem in found["problems"])
    assert found["cache"] == {
        "folder": str(machine / "cache"),
        "exists": False,
        "writable": True,
        "free_bytes": pytest.approx(shutil.disk_usage(machine).free, rel=0.1),
        "weights_folders": [],
        "offline": False,
    }
    assert not (machine / "cache").exists()
    assert {m["name"]: m["present"] for m in found["models"]}[EMBEDDER] is False
    assert "package_index" not in found


@pytest.mark.parametrize(
    ("missing", "problem"),
    [("weights", f"weights of {EMBEDDER} are not on this machine"), ("calibration", "no calibration record")],
)
def test_one_missing_thing_is_named(machine: Path, missing: str, problem: str) -> None:
    complete(machine)
    if missing == "weights":
        shutil.rmtree(derived_folder(find_model(EMBEDDER), FetchOptions.from_environment()))
    else:
        shutil.rmtree(machine / "calibration")
    health = check_profile(find_profile("open"), FetchOptions.from_environment())
    assert not health.is_ready
    assert [p for p in health.problems if problem in p] == list(health.problems)
    assert (health.smallest_fmr is None) == (missing == "calibration")


@pytest.mark.usefixtures("machine")
def test_terms_stand_in_the_way_until_they_are_accepted() -> None:
    options = FetchOptions.from_environment()
    before = check_profile(find_profile("research"), options).problems
    assert sum("lineament models accept" in p for p in before) == 2
    for name in ("scrfd-2.5g", "edgeface-xs"):
        licence.accept(name)
    after = check_profile(find_profile("research"), options).problems
    assert [p for p in before if "lineament models accept" not in p] == list(after)


def test_a_runtime_that_is_not_there_is_named(machine: Path) -> None:
    complete(machine)
    fast = find_profile("open").model_copy(update={"precision": "bf16"})
    with pytest.raises(RuntimeUnavailable) as raised:
        Runtime("onnxruntime", precision="bf16").resolved()
    health = check_profile(fast, FetchOptions.from_environment(), Runtime("onnxruntime"))
    assert str(raised.value) in health.problems


def test_weights_without_a_source_come_through_a_folder() -> None:
    assert how_to_get(find_model("edgeface-xs")) == (
        "put edgeface/edgeface_xs.onnx into a folder and set LINEAMENT_WEIGHTS to it"
    )


@pytest.mark.usefixtures("machine")
def test_the_key_of_the_gallery_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LINEAMENT_GALLERY_KEY", "0123456789abcdef" * 4)
    run(["doctor", "--json"])
    said = capsys.readouterr().out
    assert "0123456789abcdef" not in said
    assert json.loads(said)["environment"]["settings"]["LINEAMENT_GALLERY_KEY"] == "set, not shown"


def test_the_gallery_of_the_environment_is_looked_for(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LINEAMENT_GALLERY", str(machine / "people.gallery"))
    run(["doctor", "--json"])
    assert json.loads(capsys.readouterr().out)["environment"]["gallery_exists"] is False
    (machine / "people.gallery").touch()
    run(["doctor", "--json"])
    assert json.loads(capsys.readouterr().out)["environment"]["gallery_exists"] is True


@pytest.mark.usefixtures("machine")
def test_an_index_that_does_not_answer_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    run(["doctor", "--online", "--json"])
    said = capsys.readouterr().out
    (index,) = json.loads(said)["package_index"]
    assert index["answers"] is False
    assert "secret" not in said


@pytest.mark.usefixtures("machine")
def test_unknown_profile_is_wrong_use() -> None:
    assert run(["doctor", "--profile", "none"]) == 2
