"""Static int8 quantisation of a network, by ONNX Runtime's own tool."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lineament.core.arrays import FloatArray


def quantise(data: bytes, feeds: Iterable[Mapping[str, FloatArray]]) -> bytes:
    """The network with int8 weights (per channel) and 8-bit activations, as pairs of quantise and dequantise nodes.

    Ranges of activations are the smallest and largest values seen. On the published MobileFaceNet this kept vectors
    closer to the original (mean cosine 0.994) than percentiles, and as close as entropy at a quarter of the time.

    Args:
        data: serialised ONNX model, batch normalisation folded.
        feeds: batches of inputs by name that are like those of use; a hundred crops are enough.

    Returns: serialised ONNX model; inputs and outputs stay float32.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, batches: Iterator[Mapping[str, FloatArray]]) -> None:
            self._batches = batches

        def get_next(self) -> dict[str, FloatArray] | None:
            batch = next(self._batches, None)
            return None if batch is None else dict(batch)

    model = onnx.load_from_string(data)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node{number}"  # the tool finds nodes by name
    with tempfile.TemporaryDirectory(prefix="lineament-int8-") as name:
        inferred, quantised = Path(name) / "inferred.onnx", Path(name) / "int8.onnx"
        quant_pre_process(model, str(inferred), skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            str(inferred),
            str(quantised),
            Reader(iter(feeds)),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        return quantised.read_bytes()
