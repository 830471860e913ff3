import contextlib
from io import BytesIO

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as PillowImage
from PIL import ImageOps

from lineament.core.errors import InputError
from lineament.imaging import decode_image, encode_png

sides = st.integers(1, 24)
pictures = st.tuples(sides, sides).flatmap(lambda s: arrays(np.uint8, (*s, 3)))


@given(pictures)
def test_png_round_trips(pixels):
    np.testing.assert_array_equal(decode_image(encode_png(pixels)).pixels, pixels)


@given(pictures, st.integers(1, 8))
def test_orientations_agree_with_pillow(pixels, orientation):
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    buffer = BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG", exif=exif)
    expected = ImageOps.exif_transpose(PillowImage.open(BytesIO(buffer.getvalue())))
    np.testing.assert_array_equal(decode_image(buffer.getvalue()).pixels, np.asarray(expected))


@given(
    st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"P6 ", b"II*\x00", b""]),
    st.binary(),
)
def test_any_bytes_give_a_picture_or_an_input_error(magic, data):
    with contextlib.suppress(InputError):
        assert decode_image(magic + data).pixels.size > 0
