"""``python -m benchmarks.fuzz_images``: made-up and damaged pictures for the decoder, guided by coverage.

Atheris (libFuzzer) changes small pictures of every format that can be read and keeps what reaches new code. Whatever
comes, the decoder must give a picture or an ``InputError``: any other exception, a crash of the process, a picture
that takes longer than 20 s or more than 2 GB is a fault. The decoder runs in a process of its own, on one core; after a
crash, another one goes on. Inputs that did harm are kept.

    pip install atheris    # Linux on x86-64 and macOS
    python -m benchmarks.fuzz_images --minutes 30 --json reports/fuzz-images.json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from benchmarks.fuzz_target import MAX_BYTES, MAX_PIXELS, MEMORY_MB, TIMEOUT_S
from lineament.evaluation.machine import this_machine

HARMFUL = ("crash-", "timeout-", "oom-", "leak-")
"""How names of the inputs begin that the fuzzer ends with."""
MAX_CRASHES = 20
CODECS = ("atheris", "pillow", "pillow-heif")


def seeds() -> dict[str, bytes]:
    """Small pictures of every format that can be read, by name; those that did not fit were left out."""
    y, x = np.mgrid[0:12, 0:16]
    picture = Pillow.fromarray(np.stack([16 * x, 20 * y, 255 - 8 * x - 8 * y], -1).astype(np.uint8))
    exif = Pillow.Exif()
    exif[0x0112] = 6
    more = {"save_all": True, "append_images": [picture.rotate(180)]}
    wanted: dict[str, tuple[str, str, dict[str, Any]]] = {
        "jpeg": ("RGB", "JPEG", {"exif": exif}),
        "jpeg-progressive": ("RGB", "JPEG", {"progressive": True, "icc_profile": bytes(200)}),
        "jpeg-cmyk": ("CMYK", "JPEG", {}),
        "jpeg-grey": ("L", "JPEG", {"quality": 30}),
        "png": ("RGB", "PNG", {"exif": exif}),
        "png-palette": ("P", "PNG", {"transparency": 3, "bits": 4}),
        "png-alpha": ("RGBA", "PNG", {}),
        "png-16": ("I;16", "PNG", {}),
        "png-animated": ("RGB", "PNG", more),
        "webp": ("RGB", "WEBP", {"exif": exif}),
        "webp-lossless": ("RGBA", "WEBP", {"lossless": True}),
        "webp-animated": ("RGB", "WEBP", more),
        "avif": ("RGB", "AVIF", {"exif": exif}),
        "tiff": ("RGB", "TIFF", {"exif": exif}),
        "tiff-lzw": ("RGB", "TIFF", {"compression": "tiff_lzw"}),
        "tiff-deflate": ("L", "TIFF", {"compression": "tiff_adobe_deflate"}),
        "tiff-jpeg": ("RGB", "TIFF", {"compression": "jpeg"}),
        "tiff-fax": ("1", "TIFF", {"compression": "group4"}),
        "tiff-pages": ("RGB", "TIFF", more),
        "bmp": ("RGB", "BMP", {}),
        "bmp-palette": ("P", "BMP", {}),
        "gif": ("P", "GIF", {}),
        "gif-animated": ("P", "GIF", {"save_all": True, "append_images": [picture.rotate(90)]}),
        "ppm": ("RGB", "PPM", {}),
        "pbm": ("1", "PPM", {}),
    }
    made = {name: _encoded(_in_mode(picture, mode), kind, how) for name, (mode, kind, how) in wanted.items()}
    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        stream = BytesIO()
        pillow_heif.from_pillow(picture.resize((64, 64))).save(stream)
        made["heic"] = stream.getvalue()
    return {name: data for name, data in made.items() if len(data) <= MAX_BYTES}


def _in_mode(picture: Pillow.Image, mode: str) -> Pillow.Image:
    return picture.convert("I").convert(mode) if mode == "I;16" else picture.convert(mode)


def _encoded(picture: Pillow.Image, kind: str, how: dict[str, Any]) -> bytes:
    stream = BytesIO()
    picture.save(stream, kind, **how)
    return stream.getvalue()


def fuzz(seconds: float, folder: Path) -> dict[str, Any]:
    """Fuzz for a time.

    Args:
        seconds: for all processes together.
        folder: empty; holds the inputs that did harm afterwards.

    Returns: what was tried and what came of it.
    """
    given = seeds()
    (folder / "seeds").mkdir()
    (folder / "corpus").mkdir()
    for name, data in given.items():
        (folder / "seeds" / name).write_bytes(data)
    began_s = time.monotonic()
    states: list[dict[str, Any]] = []
    crashes: list[dict[str, Any]] = []
    while (left_s := seconds - (time.monotonic() - began_s)) > 0 and len(crashes) < MAX_CRASHES:
        code, said = _run(folder, left_s, seed=1 + len(states))
        state = folder / "state.json"
        if state.exists():
            states.append(json.loads(state.read_text(encoding="utf-8")))
            state.unlink()
        if code != 0:
            crashes.append({"exit_code": code, "said": said[-2000:], "inputs": _harmful(folder, crashes)})
            if not crashes[-1]["inputs"]:
                break  # not the fault of an input
    corpus = len(list((folder / "corpus").iterdir()))
    return {"seeds": sorted(given), "corpus": corpus} | _summed(states, time.monotonic() - began_s, crashes)


def _run(folder: Path, seconds: float, seed: int) -> tuple[int, str]:
    words = [sys.executable, "-m", "benchmarks.fuzz_target", str(folder)]
    words += ["--seconds", str(seconds), "--seed", str(seed)]
    one_core = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    log = folder / "log"
    with log.open("wb") as stream:
        code = subprocess.run(words, stdout=stream, stderr=stream, env=one_core, check=False).returncode
    return code, log.read_text(encoding="utf-8", errors="replace")


def _harmful(folder: Path, known: list[dict[str, Any]]) -> list[str]:
    before = {name for crash in known for name in crash["inputs"]}
    found = {path.name for path in folder.iterdir() if path.name.startswith(HARMFUL)}
    return sorted(found - before)


def _summed(states: list[dict[str, Any]], seconds: float, crashes: list[dict[str, Any]]) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    unexpected: dict[str, dict[str, Any]] = {}
    for state in states:
        outcomes.update(state["outcomes"])
        for fault in state["unexpected"]:
            kept = unexpected.setdefault(fault["kind"], fault | {"count": 0})
            kept["count"] += fault["count"]
    resident = [mb for state in states for mb in state["resident_mb"]]
    return {
        "seconds": round(seconds, 1),
        "inputs": outcomes.total(),
        "inputs_per_s": round(outcomes.total() / seconds, 1),
        "outcomes": dict(outcomes.most_common()),
        "unexpected": sorted(unexpected.values(), key=lambda fault: -fault["count"]),
        "crashes": crashes,
        "slowest_ms": max((state["slowest_ms"] for state in states), default=None),
        "resident_mb_peak": max(resident, default=None),
        "resident_mb_by_tenth": [
            round(float(np.median(part)), 1) for part in np.array_split(resident, 10) if len(part)
        ],
    }


def versions() -> dict[str, str]:
    """Of the fuzzer and the codecs that are installed."""
    found = {}
    for package in CODECS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_images")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--json", type=Path, help="write what was tried and what came of it there")
    parser.add_argument(
        "--keep", type=Path, default=Path("runs/fuzz-images"), help="folder for harmful inputs"
    )
    arguments = parser.parse_args()
    if "atheris" not in versions():
        sys.exit("this needs a fuzzer: pip install atheris")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = fuzz(60.0 * arguments.minutes, folder)
        harmful = [path for path in folder.iterdir() if path.name.startswith((*HARMFUL, "unexpected-"))]
        if harmful:
            arguments.keep.mkdir(parents=True, exist_ok=True)
        for path in harmful:
            (arguments.keep / path.name).write_bytes(path.read_bytes())
    limits = {"bytes": MAX_BYTES, "pixels": MAX_PIXELS, "memory_mb": MEMORY_MB, "timeout_s": TIMEOUT_S}
    report = {"machine": asdict(this_machine()), "versions": versions(), "limits": limits} | found
    text = json.dumps(report, indent=1) + "\n"
    print(text)
    if arguments.json:
        arguments.json.write_text(text, encoding="utf-8")
    if found["unexpected"] or found["crashes"]:
        sys.exit(f"faults were found; the inputs are in {arguments.keep}")


if __name__ == "__main__":
    main()
