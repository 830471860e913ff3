"""From a torch network to an ONNX graph that every runtime of the zoo reads."""

import onnx
from torch import Tensor, nn

from lineament.core.errors import ModelError
from lineament.nets import OnnxModule, traced
from lineament.zoo.fold import fold_batch_norms, name_ends, own_constants

INPUT = "input"
OUTPUT = "embedding"


class MiddleColumns(nn.Module):
    """A network that takes the middle columns of a square crop, as one for 112 x 96 px does."""

    def __init__(self, network: nn.Module, columns: slice) -> None:
        super().__init__()
        self.network = network
        self.columns = columns

    def forward(self, crops: Tensor) -> Tensor:
        """Features (B, D) of square crops (B, 3, S, S)."""
        features: Tensor = self.network(crops[..., self.columns])
        return features


def to_onnx(network: nn.Module, side_px: int) -> onnx.ModelProto:
    """Network in evaluation mode as a checked ONNX model: opset 17, or that of the graph it was read from.

    The input is called "input" and is (batch, 3, side_px, side_px) float32; the output, "embedding", is (batch, D).
    The batch may have any length. Batch normalisation is folded where that is exact; every constant is on its own.

    Args:
        network: (B, 3, S, S) to (B, D); it is copied, not changed.
        side_px: S.

    Raises:
        ModelError: torch cannot export it, or what comes out is not a valid model.
    """
    if isinstance(network, OnnxModule):
        model = network.to_model()
    else:
        free = {INPUT: {0: "batch"}, OUTPUT: {0: "batch"}}
        model = traced(network, side_px, (INPUT, OUTPUT), free)
    name_ends(model, INPUT, OUTPUT)
    own_constants(model)
    fold_batch_norms(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"the exported network is not valid ONNX: {error}") from error
    return model
