"""Pictures: decode, orient, find, write, draw."""

from lineament.imaging.decode import Limits, decode_image, read_image
from lineament.imaging.draw import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    PURPLE,
    SKY_BLUE,
    VERMILION,
    YELLOW,
    Colour,
    Tile,
    contact_sheet,
    draw_detections,
)
from lineament.imaging.encode import encode_jpeg, encode_png, write_image
from lineament.imaging.files import find_images

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PALETTE",
    "PURPLE",
    "SKY_BLUE",
    "VERMILION",
    "YELLOW",
    "Colour",
    "Limits",
    "Tile",
    "contact_sheet",
    "decode_image",
    "draw_detections",
    "encode_jpeg",
    "encode_png",
    "find_images",
    "read_image",
    "write_image",
]
