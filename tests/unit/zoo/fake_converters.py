"""Converters for tests."""

from lineament.core.errors import WeightsCorrupt

PREFIX = b"published as: "


def convert(data: bytes) -> bytes:
    if not data.startswith(PREFIX):
        raise WeightsCorrupt(f"expected {PREFIX!r} at the beginning, got {data[:9]!r}; fetch it again")
    return data.removeprefix(PREFIX)
