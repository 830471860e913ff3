"""Pictures: decode, orient, find, write, draw."""

from lineament.imaging.decode import Limits, decode_image, read_image
from lineament.imaging.encode import encode_jpeg, encode_png, write_image
from lineament.imaging.files import find_images

__all__ = [
    "Limits",
    "decode_image",
    "encode_jpeg",
    "encode_png",
    "find_images",
    "read_image",
    "write_image",
]
