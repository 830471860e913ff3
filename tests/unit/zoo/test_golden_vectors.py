"""Golden vectors: what agrees, what does not, and files that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from fake_index import manifest, sha256, tiny_network, weight

from lineament.core.errors import ManifestError, WeightsCorrupt
from lineament.zoo.golden import check_golden
from lineament.zoo.manifest import Manifest
from lineament.zoo.session import Runtime, Session, open_session

NET = tiny_network()
X = np.random.default_rng(3).integers(0, 256, (2, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    (tmp_path / "net.onnx").write_bytes(NET)
    return open_session(tmp_path / "net.onnx", Runtime("onnxruntime", threads=1))


def stored(tmp_path: Path, arrays: dict[str, np.ndarray], rtol: float = 0.0, atol: float = 1e-4) -> Manifest:
    path = tmp_path / "golden.npz"
    np.savez(path, **arrays)
    facts = {"file": str(path), "sha256": sha256(path.read_bytes()), "rtol": rtol, "atol": atol}
    return manifest(weight(NET), golden=facts)


def test_agreement(session: Session, tmp_path: Path) -> None:
    y = session.run({"x": X})["y"]
    shifted = y.copy()
    shifted[1, 2, 3, 4] += np.float32(0.25)
    good = stored(tmp_path, {"model/in/x": X, "model/out/y": y})
    assert check_golden(good, {"model": session}).faults == ()
    bad = check_golden(stored(tmp_path, {"model/in/x": X, "model/out/y": shifted}), {"model": session})
    assert bad.compared == 1
    assert bad.worst == pytest.approx(0.25, abs=1e-3)
    assert bad.faults[0].startswith("model/y: differs by 0.25")
    wide = stored(tmp_path, {"model/in/x": X, "model/out/y": shifted}, atol=0.3)
    assert check_golden(wide, {"model": session}).faults == ()


def test_relative_tolerance_is_of_the_original(session: Session, tmp_path: Path) -> None:
    y = session.run({"x": X})["y"]
    arrays = {"model/in/x": X, "model/out/y": y * np.float32(1.01)}
    assert check_golden(stored(tmp_path, arrays, rtol=0.0101), {"model": session}).faults == ()
    assert check_golden(stored(tmp_path, arrays, rtol=0.0095), {"model": session}).faults != ()


def test_output_that_is_absent_of_another_shape_or_not_finite(session: Session, tmp_path: Path) -> None:
    y = session.run({"x": X})["y"]
    other = stored(tmp_path, {"model/in/x": X, "model/out/y": y[:1], "model/out/z": y})
    faults = check_golden(other, {"model": session}).faults
    assert faults == (
        "model/y: expected an output of shape (1, 4, 8, 8), got (2, 4, 8, 8)",
        "model/z: expected an output of shape (2, 4, 8, 8), got nothing",
    )
    infinite = stored(tmp_path, {"model/in/x": np.full_like(X, np.nan), "model/out/y": y})
    assert check_golden(infinite, {"model": session}).faults == ("model/y: the output is not finite",)


def test_files_that_cannot_be_used(session: Session, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no golden vectors"):
        check_golden(manifest(weight(NET)), {"model": session})
    without_input = stored(tmp_path, {"model/in/w": X, "model/out/y": X})
    with pytest.raises(ManifestError, match="do not fit network model"):
        check_golden(without_input, {"model": session})
    path = tmp_path / "golden.npz"
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(WeightsCorrupt, match="sha256 expected"):
        check_golden(without_input, {"model": session})
    path.unlink()
    with pytest.raises(ManifestError, match="are missing"):
        check_golden(without_input, {"model": session})


def test_pickles_are_refused(session: Session, tmp_path: Path) -> None:
    evil = stored(tmp_path, {"model/in/x": np.array([{}], dtype=object), "model/out/y": X})
    with pytest.raises(ValueError, match="allow_pickle"):
        check_golden(evil, {"model": session})
