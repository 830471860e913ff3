"""Writing a trained network as a folder that ``lineament models add`` takes."""

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.core.errors import ConfigError, RuntimeUnavailable
from lineament.zoo.files import beside
from lineament.zoo.graph import prepare
from lineament.zoo.session import Runtime, Session, open_session
from lineament.zoo.user import MANIFEST_FILE

MODEL_FILE, GOLDEN_FILE = "model.onnx", "golden.npz"


def packed(arrays: dict[str, FloatArray]) -> bytes:
    """Golden vectors as the bytes of a file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def runtimes() -> Iterator[Runtime]:
    """What can run a network on this machine: ONNX Runtime, OpenVINO, OpenVINO in bf16."""
    for wanted in (
        Runtime("onnxruntime"),
        Runtime("openvino"),
        Runtime("openvino", precision="bf16"),
    ):
        try:
            yield wanted.resolved()
        except RuntimeUnavailable:
            continue


@contextmanager
def opened(data: bytes, runtime: Runtime) -> Iterator[Session]:
    """A network that is not in the zoo yet, from its bytes.

    Raises:
        RuntimeUnavailable: this machine cannot run it in that precision.
    """
    with tempfile.TemporaryDirectory(prefix="lineament-export-") as name:
        folder = Path(name)
        (folder / MODEL_FILE).write_bytes(data)
        (folder / "prepared.onnx").write_bytes(prepare(data))
        yield open_session(folder / MODEL_FILE, runtime, folder / "prepared.onnx")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to fill that gets its name when everything is in it; an earlier export gives way.

    Raises:
        ConfigError: something else has that name, or it cannot be written.
    """
    if out.exists() and not (out / MANIFEST_FILE).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(
            f"expected a new folder, an empty one or an earlier export, got {out}; choose another"
        )
    work, old = beside(out), beside(out)
    try:
        work.mkdir(parents=True)
        yield work
        if out.exists():
            out.replace(old)
        try:
            work.replace(out)
        except OSError:
            if old.exists():
                old.replace(out)
            raise
    except OSError as error:
        raise ConfigError(f"cannot write the export to {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
