"""Embedders whose network is one ONNX graph: aligned crop in, feature vector out."""

import numpy as np

from lineament.core.arrays import FloatArray, ImageArray, check_crops
from lineament.core.errors import ManifestError
from lineament.zoo.loading import LoadedModel
from lineament.zoo.manifest import Manifest
from lineament.zoo.tensor import to_tensor

CHUNK = 32
"""Crops in one run of the network: bounds memory; larger chunks are no faster on a CPU."""


def space_id(manifest: Manifest, precision: str, flip: bool) -> str:
    """Id of the embedding space that a model makes, known without its weights.

    Args:
        manifest: the model.
        precision: arithmetic of the network, "f32" or "bf16".
        flip: whether each crop is averaged with its mirror image.
    """
    facts = (precision, "flip") if flip else (precision,)
    return f"{manifest.name}-{'-'.join(facts)}@{manifest.digest(*facts)}"


class OnnxEmbedder:
    """An :class:`lineament.embedding.base.Embedder` over one network.

    The space id holds the name, the precision and a digest of weights, conversion, input and template, so that
    templates made in any other way are never compared.
    """

    def __init__(self, model: LoadedModel, flip: bool = False) -> None:
        """Wrap a loaded network.

        Args:
            model: manifest of task "embedding" with its session.
            flip: average the features of each crop and its mirror image (a space of its own).

        Raises:
            ManifestError: the input is not a square crop.
        """
        manifest = model.manifest
        height, width = manifest.input.shape[-2:]
        if not isinstance(height, int) or height != width:
            raise ManifestError(
                f"{manifest.name}: an embedder needs square crops, got {manifest.input.shape}"
            )
        self.name = manifest.name
        self.space = space_id(manifest, model.precision, flip)
        self.template = manifest.input.template
        self.dimension = manifest.dimension
        self._size = height
        self._spec = manifest.input
        self._session = model.session
        self._flip = flip

    def embed(self, crops: ImageArray) -> FloatArray:
        """Unit vectors of aligned crops.

        Args:
            crops: (N, S, S, 3) uint8 RGB, cut with :attr:`template`; N may be zero.

        Returns: (N, D) float32, each row of length one.

        Raises:
            BadArray: crops of another shape or dtype.
        """
        check_crops(crops, self._size)
        features = np.empty((len(crops), self.dimension), np.float32)
        for start in range(0, len(crops), CHUNK):
            chunk = crops[start : start + CHUNK]
            found = self._features(chunk)
            if self._flip:
                found = found + self._features(chunk[:, :, ::-1])
            features[start : start + CHUNK] = found
        return _unit(features)

    def _features(self, crops: ImageArray) -> FloatArray:
        """(N, D) features, each row of length one so that a mirror image weighs the same."""
        (name,) = self._session.inputs
        (features,) = self._session.run({name: to_tensor(crops, self._spec)}).values()
        return _unit(features)


def _unit(features: FloatArray) -> FloatArray:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(norms, np.finfo(np.float32).tiny), np.float32)
