"""What the publishers' own runtimes, or a slow NumPy walk of their layers, give for an input.

Golden vectors are made from these functions, so none of them touches the converters.
"""

from pathlib import Path

import numpy as np


def dlib_descriptor(weights: Path, chips: np.ndarray) -> np.ndarray:
    """(N, 128) float32 descriptors by dlib of (N, 150, 150, 3) uint8 RGB chips."""
    import dlib

    network = dlib.face_recognition_model_v1(str(weights))
    return np.array([network.compute_face_descriptor(chip) for chip in chips], np.float32)


def tflite_run(weights: Path, x: np.ndarray) -> list[np.ndarray]:
    """Outputs by the TensorFlow Lite interpreter of (N, H, W, 3) float32, in the order of the file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(weights), num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    results = [o["index"] for o in interpreter.get_output_details()]
    found = []
    for image in x:
        interpreter.set_tensor(source, image[None].astype(np.float32))
        interpreter.invoke()
        found.append([interpreter.get_tensor(index) for index in results])
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def centerface_run(weights: Path, x: np.ndarray) -> list[np.ndarray]:
    """Heatmap, scale, offset and landmarks by the published CenterFace of (N, 3, H, W) float32 RGB, 0 to 255.

    Only the declared sizes of the published file are changed.
    """
    import onnx
    import onnxruntime

    model = onnx.load(str(weights))
    for value, cell in ((model.graph.input[0], 1), *((output, 4) for output in model.graph.output)):
        dims = value.type.tensor_type.shape.dim
        for index, size in ((0, x.shape[0]), (2, x.shape[2] // cell), (3, x.shape[3] // cell)):
            dims[index].dim_value = size
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {model.graph.input[0].name: x})


def _conv(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Valid convolution of (N, H, W, C) with (h, w, C, O)."""
    rows, columns = x.shape[1] - kernel.shape[0] + 1, x.shape[2] - kernel.shape[1] + 1
    out = np.zeros((len(x), rows, columns, kernel.shape[3]))
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            out += x[:, i : i + rows, j : j + columns] @ kernel[i, j].astype(np.float64)
    return out + bias


def _prelu(x: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, x * slopes)


def _pool(x: np.ndarray, window: int, same: bool) -> np.ndarray:
    """Max pooling of step 2 as TensorFlow names it: SAME has ceil(n / 2) outputs, VALID only whole windows."""
    sizes = [-(-n // 2) if same else (n - window) // 2 + 1 for n in x.shape[1:3]]
    before = [
        max((s - 1) * 2 + window - n, 0) // 2 if same else 0 for s, n in zip(sizes, x.shape[1:3], strict=True)
    ]
    out = np.empty((len(x), *sizes, x.shape[3]))
    for r in range(sizes[0]):
        for c in range(sizes[1]):
            top, left = 2 * r - before[0], 2 * c - before[1]
            part = x[:, max(top, 0) : top + window, max(left, 0) : left + window]
            out[:, r, c] = part.max(axis=(1, 2))
    return out


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def mtcnn_numpy(arrays: list[np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    """Outputs of an MTCNN network by its layers in float64, as the ``mtcnn`` package runs them.

    Args:
        arrays: weights in the order of the package's file; their number says which network they are.
        x: (N, H, W, 3) upright RGB, ``(pixel - 127.5) / 128``.

    Returns: box shifts, points (O-Net only), then the probabilities of background and face on the last axis.
    """
    pools = {13: [(2, True)], 16: [(3, True), (3, False)], 21: [(3, True), (3, False), (2, True)]}[
        len(arrays)
    ]
    weights, value = iter(arrays), x.astype(np.float64)
    for index in range(4 if len(arrays) == 21 else 3):
        value = _prelu(_conv(value, next(weights), next(weights)), next(weights))
        if index < len(pools):
            value = _pool(value, *pools[index])
    if len(arrays) > 13:
        flat = value.transpose(0, 2, 1, 3).reshape(len(value), -1)
        value = _prelu(flat @ next(weights).astype(np.float64) + next(weights), next(weights))
    outputs = []
    for kernel in weights:
        bias = next(weights)
        outputs.append(value @ kernel.reshape(kernel.shape[-2:]).astype(np.float64) + bias)
    return [*outputs[:-1], _softmax(outputs[-1])]
