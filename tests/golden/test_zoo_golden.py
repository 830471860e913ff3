"""Every model of the zoo repeats the outputs of the runtime it was published for, in both runtimes."""

from dataclasses import replace
from pathlib import Path

import pytest

from lineament.core.errors import WeightsMissing
from lineament.zoo.golden import check_golden, read_golden
from lineament.zoo.manifest import list_models
from lineament.zoo.options import FetchOptions
from lineament.zoo.session import Backend, Runtime, open_session
from lineament.zoo.store import ensure_weights

MODELS = list_models()
WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights"


@pytest.mark.parametrize("name", MODELS)
def test_vectors_are_there_and_small(name: str) -> None:
    arrays = read_golden(MODELS[name])
    roles = {w.role for w in MODELS[name].weights}
    assert {key.split("/")[0] for key in arrays} == roles
    assert sum(a.size for a in arrays.values()) > 0
    assert all(a.dtype == "float32" for a in arrays.values())


@pytest.mark.weights
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", MODELS)
def test_outputs_agree(name: str, backend: Backend) -> None:
    options = FetchOptions.from_environment()
    try:
        files = ensure_weights(MODELS[name], replace(options, folders=(*options.folders, WEIGHTS)))
    except WeightsMissing:
        if any(w.sources for w in MODELS[name].weights):
            raise
        pytest.skip(f"{name} comes through a weights folder only: set LINEAMENT_WEIGHTS")
    runtime = Runtime(backend, threads=1)
    result = check_golden(
        MODELS[name], {role: open_session(f.path, runtime, f.prepared) for role, f in files.items()}
    )
    assert result.faults == ()
    assert result.compared >= len(files)
