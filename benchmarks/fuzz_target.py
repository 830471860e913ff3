"""The process that is fuzzed by ``benchmarks.fuzz_images``: decodes what the fuzzer makes up and writes down what came.

Coverage guides the fuzzer through the Python of Pillow and of ``lineament.imaging``; the codecs below, which are C, are
only run. So nothing of either may be imported before it is instrumented.
"""

import argparse
import hashlib
import importlib
import json
import os
import random
import sys
import time
import traceback
import warnings
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

MAX_BYTES = 4096
"""Of one input. Faults of parsers show in small files, and small ones are many a second."""
MAX_PIXELS = 1_000_000
TIMEOUT_S = 20
MEMORY_MB = 2048
PNG = b"\x89PNG\r\n\x1a\n"


class Target:
    """Decodes inputs until its time is over.

    Args:
        folder: for the state, and for the first input of each kind of unexpected error.
        until_s: of ``time.monotonic()``.
    """

    def __init__(self, folder: Path, until_s: float) -> None:
        from lineament.core.errors import InputError
        from lineament.imaging import Limits, decode_image

        self._decode, self._expected = decode_image, InputError
        self._limits = Limits(max_pixels=MAX_PIXELS)
        self._folder, self._until_s = folder, until_s
        self._told_s = 0.0
        self.outcomes: Counter[str] = Counter()
        self.unexpected: dict[str, dict[str, Any]] = {}
        self.resident_mb: list[float] = []
        self.slowest_ms = 0.0

    def __call__(self, data: bytes) -> None:
        """Decode one input; ends the process when the time is over."""
        began_s = time.monotonic()
        self.outcomes[self._outcome(data)] += 1
        now_s = time.monotonic()
        self.slowest_ms = max(self.slowest_ms, 1e3 * (now_s - began_s))
        if now_s - self._told_s > 1.0 or now_s > self._until_s:
            self._told_s = now_s
            self._tell()
        if now_s > self._until_s:
            os._exit(0)  # the fuzzer has no other end that leaves what was counted to us

    def _outcome(self, data: bytes) -> str:
        try:
            pixels = self._decode(data, limits=self._limits).pixels
        except self._expected as error:
            return type(error).__name__
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            self._keep(f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}", data)
            return "unexpected"
        if str(pixels.dtype) != "uint8" or pixels.ndim != 3 or not 0 < pixels.size <= 3 * MAX_PIXELS:
            self._keep(f"{pixels.dtype} {pixels.shape} is no picture", data)
            return "unexpected"
        return "picture"

    def _keep(self, kind: str, data: bytes) -> None:
        if kind not in self.unexpected:
            name = f"unexpected-{hashlib.sha256(data).hexdigest()[:16]}"
            (self._folder / name).write_bytes(data)
            self.unexpected[kind] = {"kind": kind, "count": 0, "input": name}
        self.unexpected[kind]["count"] += 1

    def _tell(self) -> None:
        import psutil  # type: ignore[import-untyped]

        self.resident_mb.append(round(psutil.Process().memory_info().rss / 1e6, 1))
        state = {
            "outcomes": self.outcomes,
            "unexpected": list(self.unexpected.values()),
            "slowest_ms": round(self.slowest_ms, 1),
            "resident_mb": self.resident_mb,
        }
        part = self._folder / "state.part"
        part.write_text(json.dumps(state), encoding="utf-8")
        part.replace(self._folder / "state.json")


def sound_checksums(data: bytes) -> bytes:
    """A PNG with the right checksum in every chunk that is whole; anything else as it is.

    Without it, hardly any changed PNG would come past the comparison of checksums.
    """
    if not data.startswith(PNG):
        return data
    out, start = bytearray(data), len(PNG)
    while start + 12 <= len(out):
        end = start + 8 + int.from_bytes(out[start : start + 4], "big")
        if end + 4 > len(out):
            break
        out[end : end + 4] = zlib.crc32(out[start + 4 : end]).to_bytes(4, "big")
        start = end + 4
    return bytes(out)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_target")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["PIL", "lineament.imaging"]):
        importlib.import_module("lineament.imaging")
    warnings.simplefilter("ignore")  # Pillow warns of damage, which is what we send
    target = Target(arguments.folder, time.monotonic() + arguments.seconds)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        changed: bytes = atheris.Mutate(data, max_size)
        return sound_checksums(changed) if random.Random(seed).random() < 0.75 else changed  # noqa: S311

    options = [
        f"-artifact_prefix={arguments.folder}/",
        f"-max_len={MAX_BYTES}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-seed={arguments.seed}",
        f"-timeout={TIMEOUT_S}",
        "-reload=0",
    ]
    corpora = [str(arguments.folder / "corpus"), str(arguments.folder / "seeds")]
    atheris.Setup([sys.argv[0], *options, *corpora], target, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
