"""Face embedders: aligned crops in, unit vectors out."""

from lineament.embedding.base import Embedder
from lineament.embedding.onnx import OnnxEmbedder, space_id
from lineament.zoo.loading import build, load_model
from lineament.zoo.session import Runtime

__all__ = ["Embedder", "OnnxEmbedder", "load_embedder", "space_id"]


def load_embedder(name: str, runtime: Runtime | None = None) -> Embedder:
    """The embedder called ``name`` in the zoo.

    Args:
        name: model name; "NAME+flip" averages each crop with its mirror image and is a space of its own.
        runtime: how to run it.

    Raises:
        ModelNotFound: no such embedder.
        ModelError: weights, licence or runtime cannot be had (:func:`lineament.zoo.loading.load_model`).
    """
    base, plus, option = name.partition("+")
    if plus and option == "flip":
        return OnnxEmbedder(load_model(base, "embedding", runtime), flip=True)
    return build(name, "embedding", runtime)  # type: ignore[return-value]
