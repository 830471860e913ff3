"""Networks in torch, for training only: the runtime runs their exports."""

from lineament.nets.base import Backbone
from lineament.nets.build import BACKBONES, build_backbone
from lineament.nets.counting import Cost, count_cost
from lineament.nets.freezing import freeze
from lineament.nets.onnx_module import OnnxModule
from lineament.nets.restorer import RESTORERS, Restorer
from lineament.nets.tracing import OPSET, traced

__all__ = [
    "BACKBONES",
    "OPSET",
    "RESTORERS",
    "Backbone",
    "Cost",
    "OnnxModule",
    "Restorer",
    "build_backbone",
    "count_cost",
    "freeze",
    "traced",
]
