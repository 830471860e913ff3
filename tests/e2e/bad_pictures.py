"""Pictures that go wrong, and odd ones that must not, all made from one good photo."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage


def unusable(folder: Path, good: Path) -> dict[str, tuple[Path, str]]:
    """Files that cannot be read, each with words that the message must hold."""
    jpeg = good.read_bytes()
    png = as_bytes(PillowImage.open(good), "PNG")
    corrupt = bytearray(png)
    corrupt[len(png) // 2] ^= 0xFF
    contents = {
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "damaged or cut off"),
        "corrupt.png": (bytes(corrupt), "damaged or cut off"),
        "huge.png": (png_header(20_000, 20_000), "megapixels"),
        "empty.jpg": (b"", "is empty"),
        "text.jpg": (b"not a picture at all\n" * 20, "looks like text"),
        "paper.jpg": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)), "PDF"),
        "film.jpg": (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(512), "video"),
        "head.png": (png[:100], "damaged or cut off"),
    }
    made = {}
    for name, (data, words) in contents.items():
        (folder / name).write_bytes(data)
        made[name] = (folder / name, words)
    os.mkfifo(folder / "pipe.jpg")
    return made | {
        "missing": (folder / "missing.jpg", "there is no such file"),
        "pipe": (folder / "pipe.jpg", "expected a regular file"),
    }


def without_one_face(folder: Path, good: Path, other: Path, dogs: Path) -> dict[str, tuple[Path, str]]:
    """Sound pictures that cannot be compared, each with the reason."""
    first, second = PillowImage.open(good), PillowImage.open(other)
    pair = PillowImage.new("RGB", (first.width + second.width, max(first.height, second.height)))
    pair.paste(first, (0, 0))
    pair.paste(second, (first.width, 0))
    tiny_face = PillowImage.new("RGB", (320, 320), (90, 120, 90))
    tiny_face.paste(first.resize((30, 30)), (150, 150))
    pictures = {
        "one_pixel.png": (PillowImage.new("RGB", (1, 1)), "no_face"),
        "thin.png": (PillowImage.new("RGB", (3000, 1), "red"), "no_face"),
        "wall.png": (PillowImage.new("RGB", (320, 240), (120, 130, 140)), "no_face"),
        "dog.png": (PillowImage.open(dogs).crop((0, 0, 440, 450)), "no_face"),
        "pair.png": (pair, "several_faces"),
        "far.png": (tiny_face, "face_too_small"),
    }
    made = {}
    for name, (picture, reason) in pictures.items():
        picture.save(folder / name)
        made[name] = (folder / name, reason)
    return made


def odd_but_sound(folder: Path, good: Path) -> dict[str, Path]:
    """The same photo in ways that people send photos."""
    photo = PillowImage.open(good).convert("RGB")
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    grey = np.asarray(photo.convert("L")).astype(np.uint16) * 257
    made = {
        "exif.jpg": as_bytes(photo.transpose(PillowImage.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95),
        "turned.png": as_bytes(photo.transpose(PillowImage.Transpose.ROTATE_180), "PNG"),
        "cmyk.jpg": as_bytes(photo.convert("CMYK"), "JPEG", quality=95),
        "deep.png": as_bytes(PillowImage.fromarray(grey), "PNG"),
        "alpha.png": as_bytes(with_alpha(photo), "PNG"),
        "animated.webp": as_bytes(
            photo, "WEBP", save_all=True, append_images=[PillowImage.new("RGB", photo.size)], quality=95
        ),
        "no suffix": good.read_bytes(),
        "wrong.txt": good.read_bytes(),
    }
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in made}


def with_alpha(photo: PillowImage.Image) -> PillowImage.Image:
    clear = photo.convert("RGBA")
    fade = np.linspace(150, 255, photo.width).astype(np.uint8)
    clear.putalpha(PillowImage.fromarray(np.tile(fade, (photo.height, 1))))
    return clear


def as_bytes(picture: PillowImage.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )
