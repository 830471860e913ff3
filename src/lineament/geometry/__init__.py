"""Boxes, similarity transforms, crop templates and warps."""

from lineament.geometry.align import AlignedCrop, align, align_many, warp
from lineament.geometry.boxes import area, clip_boxes, iou, nms, scale_boxes, scale_points
from lineament.geometry.rotation import turn, turn_boxes, turn_points
from lineament.geometry.similarity import (
    apply,
    compose,
    fit_similarities,
    fit_similarity,
    invert,
    roll_deg,
    scale_of,
)
from lineament.geometry.templates import (
    ARCFACE_112,
    ARCFACE_SIZES_PX,
    DLIB_150,
    TEMPLATES,
    CropTemplate,
    resized,
)

__all__ = [
    "ARCFACE_112",
    "ARCFACE_SIZES_PX",
    "DLIB_150",
    "TEMPLATES",
    "AlignedCrop",
    "CropTemplate",
    "align",
    "align_many",
    "apply",
    "area",
    "clip_boxes",
    "compose",
    "fit_similarities",
    "fit_similarity",
    "invert",
    "iou",
    "nms",
    "resized",
    "roll_deg",
    "scale_boxes",
    "scale_of",
    "scale_points",
    "turn",
    "turn_boxes",
    "turn_points",
    "warp",
]
