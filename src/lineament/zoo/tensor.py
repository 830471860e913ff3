"""Pictures to network input."""

import numpy as np

from lineament.core.arrays import FloatArray, ImageArray
from lineament.zoo.manifest import InputSpec


def to_tensor(images: ImageArray, spec: InputSpec) -> FloatArray:
    """Network input for pictures of one size.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        spec: colour order, mean and standard deviation of the network's input.

    Returns: (N, 3, H, W) float32, ``(pixel - mean) / std`` per channel in the order of ``spec``.
    """
    planes = images.transpose(0, 3, 1, 2)
    if spec.colour == "BGR":
        planes = planes[:, ::-1]
    tensor = np.ascontiguousarray(planes, dtype=np.float32)
    if any(spec.mean):
        tensor -= np.asarray(spec.mean, np.float32).reshape(1, 3, 1, 1)
    if any(s != 1.0 for s in spec.std):
        tensor *= 1.0 / np.asarray(spec.std, np.float32).reshape(1, 3, 1, 1)
    return tensor
