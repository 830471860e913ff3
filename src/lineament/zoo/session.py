"""The one door to the inference runtimes.

ONNX Runtime is always there; OpenVINO is used when it is installed, or when it is asked for. The provider and
the precision are strict: what cannot be had is an error, never a silent fallback.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.core.cores import usable_cores
from lineament.core.errors import RuntimeUnavailable, WeightsCorrupt

Backend = Literal["auto", "onnxruntime", "openvino"]
Precision = Literal["auto", "f32", "bf16"]
MAX_DEFAULT_THREADS = 4
"""A face network gains little from more; servers run several sessions instead."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a network is run.

    Attributes:
        backend: "auto" is OpenVINO where installed, else ONNX Runtime.
        provider: "cpu", or a device of the backend ("cuda" for ONNX Runtime, "gpu" for OpenVINO).
        precision: "f32" gives the same numbers on every machine to about 1e-6; "bf16" (OpenVINO only) is faster
            and makes an embedding space of its own; "auto" is bf16 where backend and processor have it, else f32:
            for detectors, whose points move by a fraction of a px, never for embedders.
        threads: upper bound for one session; 0 is the number of cores, at most four.
    """

    backend: Backend = "auto"
    provider: str = "cpu"
    precision: Precision = "f32"
    threads: int = 0

    def __post_init__(self) -> None:
        if self.backend not in {"auto", "onnxruntime", "openvino"}:
            raise ValueError(f"backend must be auto, onnxruntime or openvino, got {self.backend!r}")
        if self.precision not in {"auto", "f32", "bf16"}:
            raise ValueError(f"precision must be auto, f32 or bf16, got {self.precision!r}")
        if not 0 <= self.threads <= 256:
            raise ValueError(f"threads must be between 0 and 256, got {self.threads}")

    def resolved(self) -> "Runtime":
        """The same with backend, precision and threads decided for this machine.

        Raises:
            RuntimeUnavailable: the backend is not installed, or cannot run the precision.
        """
        backend = self.backend
        if backend == "auto":
            backend = "openvino" if find_spec("openvino") else "onnxruntime"
        if find_spec(backend) is None:
            raise RuntimeUnavailable(f"{backend} is not installed; pip install 'lineament[{backend}]'")
        if self.precision == "bf16" and backend != "openvino":
            raise RuntimeUnavailable(
                "precision bf16 needs OpenVINO; pip install 'lineament[openvino]' or use f32"
            )
        threads = self.threads or min(MAX_DEFAULT_THREADS, usable_cores())
        precision = self.precision
        if precision == "auto":
            precision = "bf16" if backend == "openvino" and _has_bf16(self.provider) else "f32"
        return Runtime(backend, self.provider, precision, threads)


_ONE_AT_A_TIME = threading.Lock()


def _openvino_core() -> Any:
    """The one OpenVINO core of this process, kept to its end.

    Each core gives its thread a stack for signal handlers, and hands back the one it found when it is destroyed.
    Several of them, destroyed in any order but the reverse, leave a stack that was freed: the next SIGTERM or Ctrl-C
    then ends the process with a segmentation fault.
    """
    with _ONE_AT_A_TIME:
        return _made_core()


@cache
def _made_core() -> Any:
    import openvino as ov

    core = ov.Core()
    # OpenVINO fills its two tables of NumPy's types on first use, without caring for threads: two threads that run
    # their first networks at once then wait for each other for ever, and the rest of the program waits for them.
    ov.Tensor(np.zeros(1, np.float32))
    ov.Type.f32.to_dtype()
    return core


@cache
def _has_bf16(provider: str) -> bool:
    """True when OpenVINO's device computes in bf16."""
    core = _openvino_core()
    device = provider.upper()
    return device in core.available_devices and "BF16" in core.get_property(
        device, "OPTIMIZATION_CAPABILITIES"
    )


class Session(Protocol):
    """A loaded network. Safe to run from several threads."""

    runtime: Runtime
    """What is in use: backend, provider, precision and threads, all decided."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, feeds: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Outputs by name for inputs by name."""
        ...


def open_session(path: Path, runtime: Runtime, prepared: Path | None = None) -> Session:
    """Load a network.

    Args:
        path: serialised ONNX model as published or converted.
        runtime: backend, provider, precision and threads.
        prepared: the same model rewritten for ONNX Runtime (:mod:`lineament.zoo.graph`); other backends ignore it.

    Raises:
        RuntimeUnavailable: the backend, provider or precision is not available here.
        WeightsCorrupt: ONNX Runtime cannot run the network.
    """
    decided = runtime.resolved()
    if decided.backend == "openvino":
        return _OpenVinoSession(path, decided)
    return _OnnxRuntimeSession(prepared or path, decided)


class _OnnxRuntimeSession:
    def __init__(self, path: Path, runtime: Runtime) -> None:
        import onnxruntime as ort

        provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(runtime.provider)
        if provider not in ort.get_available_providers():
            have = ", ".join(
                p.removesuffix("ExecutionProvider").lower() for p in ort.get_available_providers()
            )
            raise RuntimeUnavailable(
                f"provider {runtime.provider!r} is not available in onnxruntime {ort.__version__}; there are: {have}"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = runtime.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = _load(path, options, provider)
        if self._session.get_providers()[0] != provider:
            raise RuntimeUnavailable(
                f"onnxruntime could not start provider {runtime.provider!r} for {path.name}"
            )
        self.runtime = runtime
        self.inputs = tuple(i.name for i in self._session.get_inputs())
        self.outputs = tuple(o.name for o in self._session.get_outputs())

    def run(self, feeds: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        return dict(zip(self.outputs, self._session.run(None, dict(feeds)), strict=True))


def _load(path: Path, options: Any, provider: str | None) -> Any:
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    unusable = (states.Fail, states.InvalidGraph, states.InvalidProtobuf, states.NotImplemented)
    try:
        return ort.InferenceSession(str(path), options, providers=[provider])
    except unusable as error:
        raise WeightsCorrupt(
            f"expected a network that ONNX Runtime {ort.__version__} can run, but {path} is not one: {error}; "
            "export or convert it again"
        ) from error


class _OpenVinoSession:
    def __init__(self, path: Path, runtime: Runtime) -> None:
        core = _openvino_core()
        device = runtime.provider.upper()
        if device not in core.available_devices:
            have = ", ".join(d.lower() for d in core.available_devices)
            raise RuntimeUnavailable(
                f"provider {runtime.provider!r} is not available in openvino; there are: {have}"
            )
        if runtime.precision == "bf16" and not _has_bf16(runtime.provider):
            raise RuntimeUnavailable(
                f"this machine's {runtime.provider} has no bf16 arithmetic; use precision f32"
            )
        config: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": runtime.precision,
            "INFERENCE_NUM_THREADS": runtime.threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        model = core.read_model(str(path))
        self.inputs = tuple(port.any_name for port in model.inputs)
        self.outputs = tuple(port.any_name for port in model.outputs)
        self._compiled = core.compile_model(model, device, config)
        self._local = threading.local()
        self.runtime = runtime

    def run(self, feeds: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        request.infer(dict(feeds), share_inputs=True)
        return {
            name: np.array(request.get_output_tensor(i).data, dtype=np.float32)
            for i, name in enumerate(self.outputs)
        }
