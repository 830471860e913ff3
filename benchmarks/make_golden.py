"""Make the golden vectors of the zoo: inputs, and the outputs of the runtime each model was published for.

Run it where every weight file can be had; it writes ``src/lineament/zoo/golden/<name>.npz`` and the ``[golden]``
table of the manifest. Outputs come from the original runtime, never from this package's converters: plain ONNX
Runtime on the published file, or the functions of ``tests/golden/originals.py`` for files of other formats.

Example: python benchmarks/make_golden.py yunet dlib-resnet
"""

import hashlib
import importlib.util
import io
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray
from lineament.zoo.golden import check_golden
from lineament.zoo.licence import accept
from lineament.zoo.manifest import InputSpec, Manifest, Weight, list_models, parse_manifest
from lineament.zoo.options import FetchOptions
from lineament.zoo.session import Runtime, open_session
from lineament.zoo.sources import obtain
from lineament.zoo.store import ensure_weights
from lineament.zoo.tensor import to_tensor

ROOT = Path(__file__).resolve().parents[1]
ZOO = ROOT / "src" / "lineament" / "zoo"
MAX_BYTES = 60_000
FREE_SIZE_PX = 64
"""Side of the picture for networks that take any size."""
LARGEST_PAIR_PX = 112
"""Larger inputs come alone, so that files stay small."""
SIZES_PX = {"pnet": 36, "rnet": 24, "onet": 48}
"""Sides of the cascade's inputs; the manifest's shape is that of the whole picture."""
TOLERANCES = {"rtol": 1e-3, "atol": 2e-4}

Outputs = dict[str, FloatArray]
Original = Callable[[Path, FloatArray, NDArray[np.uint8]], Outputs]


def load_originals() -> ModuleType:
    """The functions that run the original runtimes; they live beside the tests that use them."""
    path = ROOT / "tests" / "golden" / "originals.py"
    spec = importlib.util.spec_from_file_location("originals", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def picture(size: int, seed: int) -> NDArray[np.uint8]:
    """A smooth (size, size, 3) uint8 picture in steps of eight grey levels, so that it packs well."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (5, 5, 3))
    where = np.linspace(0, 4, size)
    low = np.minimum(where.astype(int), 3)
    part = (where - low)[:, None]
    rows = coarse[low] * (1 - part)[:, :, None] + coarse[low + 1] * part[:, :, None]
    smooth = rows[:, low] * (1 - part)[None] + rows[:, low + 1] * part[None]
    grey: NDArray[np.uint8] = np.ascontiguousarray(smooth // 8 * 8, np.uint8)
    return grey


def plain_onnx(path: Path, x: FloatArray, _pixels: NDArray[np.uint8]) -> Outputs:
    """The published file in ONNX Runtime, one picture after the other when it takes only one."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    names = [o.name for o in session.get_outputs()]
    groups = [x[i : i + 1] for i in range(len(x))] if given.shape[0] == 1 else [x]
    runs = [session.run(None, {given.name: g}) for g in groups]
    return {name: np.concatenate([r[i] for r in runs]) for i, name in enumerate(names)}


def originals_by_converter() -> Mapping[str, Original]:
    """How the original runs, by what converts it."""
    import joblib  # type: ignore[import-untyped]

    them = load_originals()

    def centerface(path: Path, x: FloatArray, _pixels: NDArray[np.uint8]) -> Outputs:
        return dict(
            zip(("heatmap", "scale", "offset", "landmarks"), them.centerface_run(path, x), strict=True)
        )

    def dlib(path: Path, _x: FloatArray, pixels: NDArray[np.uint8]) -> Outputs:
        return {"embedding": them.dlib_descriptor(path, pixels)}

    def tflite(path: Path, x: FloatArray, _pixels: NDArray[np.uint8]) -> Outputs:
        names = ("points", "presence") if path.name == "face_landmark.tflite" else ("boxes", "scores")
        found = them.tflite_run(path, np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
        flat = {"points", "presence"}
        return {n: a.reshape(len(x), -1) if n in flat else a for n, a in zip(names, found, strict=True)}

    def mtcnn(path: Path, x: FloatArray, _pixels: NDArray[np.uint8]) -> Outputs:
        *shifts, scores = them.mtcnn_numpy(joblib.load(path), x.transpose(0, 2, 3, 1))
        outputs = dict(zip(("boxes", "points"), shifts, strict=False)) | {"scores": scores[..., 1:]}
        return {n: a if a.ndim == 2 else a.transpose(0, 3, 1, 2) for n, a in outputs.items()}

    known = {
        "centerface": centerface,
        "dlib_resnet": dlib,
        "tflite": tflite,
        "mtcnn": mtcnn,
        "batch": plain_onnx,
    }
    return {f"lineament.zoo.convert.{name}:convert": run for name, run in known.items()} | {"": plain_onnx}


def rounded(values: NDArray[Any]) -> FloatArray:
    """float32 with 15 significant bits: far finer than any tolerance, and a third smaller when packed."""
    mantissa, exponent = np.frexp(values.astype(np.float64))
    return np.ldexp(np.round(mantissa * 2**15) / 2**15, exponent).astype(np.float32)


def inputs(weight: Weight, spec: InputSpec) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Network input, and the pixels it was made from."""
    side = spec.shape[2] if isinstance(spec.shape[2], int) else SIZES_PX.get(weight.role, FREE_SIZE_PX)
    seed = int(weight.sha256[:8], 16)
    count = 2 if side <= LARGEST_PAIR_PX else 1
    pixels = np.ascontiguousarray(np.stack([picture(side, seed + i) for i in range(count)]))
    return np.ascontiguousarray(to_tensor(pixels, spec)), pixels


def vectors(manifest: Manifest, options: FetchOptions) -> dict[str, FloatArray]:
    """All arrays of a model's golden file."""
    originals = originals_by_converter()
    published = obtain(manifest, options)
    arrays: dict[str, FloatArray] = {}
    files = ensure_weights(manifest.model_copy(update={"golden": None}), options)
    for weight in manifest.weights:
        x, pixels = inputs(weight, manifest.input)
        session = open_session(files[weight.role].path, Runtime("onnxruntime", threads=1))
        arrays[f"{weight.role}/in/{session.inputs[0]}"] = x
        for name, values in originals[weight.convert](published[weight.role], x, pixels).items():
            arrays[f"{weight.role}/out/{name}"] = rounded(values)
    return arrays


def write(manifest: Manifest, arrays: dict[str, FloatArray]) -> Manifest:
    """Write the file and the manifest's table; returns the manifest with it."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    data = buffer.getvalue()
    if len(data) >= MAX_BYTES:
        raise SystemExit(f"{manifest.name}: {len(data)} bytes, at most {MAX_BYTES} are wanted")
    file = ZOO / "golden" / f"{manifest.name}.npz"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    path = ZOO / "models" / f"{manifest.name}.toml"
    text = re.sub(r"\n\[golden\]\n(?:[^\[\n].*\n)*", "", path.read_text(encoding="utf-8"))
    table = (
        f'\n[golden]\nfile = "{file.name}"\nsha256 = "{hashlib.sha256(data).hexdigest()}"\n'
        f"rtol = {TOLERANCES['rtol']:g}\natol = {TOLERANCES['atol']:g}\n"
    )
    place = text.index("\n[input]")
    path.write_text(text[:place] + table + text[place:], encoding="utf-8")
    return parse_manifest(path.read_text(encoding="utf-8"), path.name)


def main(names: list[str]) -> None:
    accept("all")
    options = FetchOptions.from_environment()
    for name in names or list(list_models()):
        manifest = list_models()[name]
        manifest = write(manifest, vectors(manifest, options))
        files = ensure_weights(manifest, options)
        for runtime in (Runtime("onnxruntime", threads=1), Runtime("openvino", threads=1)):
            sessions = {r: open_session(f.path, runtime, f.prepared) for r, f in files.items()}
            found = check_golden(manifest, sessions)
            size = (ZOO / "golden" / f"{name}.npz").stat().st_size
            print(
                f"{name:20} {runtime.backend:12} {size:6d} bytes, worst difference {found.worst:.2e} {found.faults}"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
