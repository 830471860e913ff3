"""From a torch network to an ONNX graph, by tracing."""

import copy
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import nn

from lineament.core.errors import ModelError

OPSET = 17
"""Old enough for every runtime that the zoo supports, new enough for every operator that networks here use."""


def traced(
    network: nn.Module, side_px: int, names: tuple[str, ...], free_axes: Mapping[str, Mapping[int, str]]
) -> onnx.ModelProto:
    """The graph of a network in evaluation mode, opset 17; names of the maker's machine are left out.

    The exporter is torch's older one: the newer one needs onnxscript, takes twenty times longer and lets layers share
    PReLU slopes that are equal by chance.

    Args:
        network: takes (B, 3, side_px, side_px) float32; it is copied, not changed.
        side_px: of the traced example.
        names: of the input, then of the outputs.
        free_axes: axes of any length with a name for each, by input and output.

    Raises:
        ModelError: torch cannot export it.
    """
    ready = copy.deepcopy(network).cpu().float().eval()
    with tempfile.TemporaryDirectory(prefix="lineament-onnx-") as folder, warnings.catch_warnings():
        # The exporter is announced to go away one day, and tracing warns of checks that depend on shapes.
        warnings.simplefilter("ignore")
        path = Path(folder) / "traced.onnx"
        try:
            torch.onnx.export(
                ready,
                (torch.zeros(2, 3, side_px, side_px),),
                path,
                dynamo=False,
                opset_version=OPSET,
                input_names=list(names[:1]),
                output_names=list(names[1:]),
                dynamic_axes={name: dict(axes) for name, axes in free_axes.items()},
            )
        except (RuntimeError, ValueError, TypeError) as error:
            raise ModelError(
                f"expected a network that torch {torch.__version__} can export, got {type(network).__name__}: {error}"
            ) from error
        model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("doc_string")  # holds paths of the machine that exported
    return model
