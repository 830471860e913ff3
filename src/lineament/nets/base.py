"""What every backbone is: a body, an output layer, one input size."""

from torch import Tensor, nn

InputSize = tuple[int, int]
"""Height and width of the pictures, px."""


class Backbone(nn.Module):
    """A network from pictures to features.

    The parts are apart because recipes treat them apart: the output layers often have a weight decay of their
    own, and fine-tuning freezes the first stages.

    Attributes:
        body: everything up to the last map.
        output: from the last map to the features.
        input_size: height and width that the network takes, px.
        embedding: D, length of the features.
    """

    def __init__(
        self, body: nn.Sequential, output: nn.Sequential, input_size: InputSize, embedding: int
    ) -> None:
        super().__init__()
        self.body = body
        self.output = output
        self.input_size = input_size
        self.embedding = embedding

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The layers and blocks in the order in which they run."""
        return (*self.body.children(), *self.output.children())

    def forward(self, images: Tensor) -> Tensor:
        """Features of a batch.

        Args:
            images: (B, 3, H, W) float, normalised by the caller; H and W are :attr:`input_size`.

        Returns: (B, D) float, not of length one.

        Raises:
            ValueError: pictures of another shape.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, *self.input_size):
            raise ValueError(f"images must be (B, 3, *{self.input_size}), got {tuple(images.shape)}")
        features: Tensor = self.output(self.body(images))
        return features


def check_size(
    name: str, input_size: InputSize, embedding: int, multiple: int = 16, smallest: int = 32
) -> None:
    """Refuse what a network cannot be built for.

    Args:
        name: of the network, for the message.
        input_size: height and width, px.
        embedding: length of the features.
        multiple: each side is a multiple of this.
        smallest: least height and width, px.

    Raises:
        ValueError: the size is not allowed, or the embedding is not positive; says what is allowed.
    """
    if len(input_size) != 2 or any(side < smallest or side % multiple for side in input_size):
        raise ValueError(
            f"{name}: input_size must be (height, width) in px, each a multiple of {multiple} and at least {smallest}, "
            f"as in (112, 112) or (112, 96), got {input_size}"
        )
    if embedding < 1:
        raise ValueError(f"{name}: embedding must be at least 1, got {embedding}")
