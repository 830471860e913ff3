"""The embedder protocol."""

from typing import Protocol

from lineament.core.arrays import FloatArray, ImageArray


class Embedder(Protocol):
    """Turns aligned crops into templates.

    Attributes:
        name: name of the model in the zoo.
        space: id of the embedding space; equal ids compare, others never.
        template: name of the crop template that it needs ("arcface-112").
        dimension: length of an embedding.
    """

    name: str
    space: str
    template: str
    dimension: int

    def embed(self, crops: ImageArray) -> FloatArray:
        """Unit vectors of aligned crops.

        Args:
            crops: (N, S, S, 3) uint8 RGB, cut with the template; N may be zero.

        Returns: (N, D) float32, each row of length one.
        """
        ...
