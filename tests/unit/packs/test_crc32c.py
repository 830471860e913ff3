"""CRC-32C against its published vectors and another implementation."""

import crc32c as other
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.packs.crc32c import crc32c, masked_crc32c


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # RFC 3720, B.4, as are the next two
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_published_vectors(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc


@given(st.binary(max_size=300))
def test_short_data_agree_with_another_implementation(data: bytes) -> None:
    assert crc32c(data) == other.crc32c(data)


def test_every_length_around_the_rows_agrees_with_another_implementation() -> None:
    data = np.random.default_rng(1).bytes(5000)
    lengths = [*range(60, 70), *range(1020, 1030), *range(1084, 1096), *range(2040, 2120), 4096, 5000]
    assert [crc32c(data[:n]) for n in lengths] == [other.crc32c(data[:n]) for n in lengths]


def test_mask_is_that_of_the_tfrecord_notes() -> None:
    assert masked_crc32c((39).to_bytes(8, "little")).to_bytes(4, "little").hex() == "bbe1b146"
