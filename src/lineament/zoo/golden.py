"""Golden vectors: stored inputs and outputs of the original runtime, and whether a loaded network agrees."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.core.errors import ManifestError, WeightsCorrupt
from lineament.zoo.manifest import Golden, Manifest, golden_path
from lineament.zoo.session import Session


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """How closely a network repeats the original's outputs.

    Attributes:
        compared: number of output arrays.
        worst: largest absolute difference of all of them.
        faults: one line for each output that is further off than the manifest allows.
    """

    compared: int
    worst: float
    faults: tuple[str, ...]


def _golden(manifest: Manifest) -> tuple[Golden, Path]:
    path = golden_path(manifest)
    if manifest.golden is None or path is None:
        raise ManifestError(
            f"{manifest.name} has no golden vectors; make them with benchmarks/make_golden.py"
        )
    return manifest.golden, path


def read_golden(manifest: Manifest) -> dict[str, FloatArray]:
    """Stored arrays by name: ``<role>/in/<input>`` and ``<role>/out/<output>``.

    Raises:
        ManifestError: the manifest has no golden vectors, or its file is absent.
        WeightsCorrupt: the file's digest does not agree.
    """
    golden, path = _golden(manifest)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"golden vectors of {manifest.name} are missing: {path}; reinstall lineament"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != golden.sha256:
        raise WeightsCorrupt(
            f"golden vectors {path}: sha256 expected {golden.sha256}, found {found}; reinstall lineament"
        )
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def check_golden(manifest: Manifest, sessions: Mapping[str, Session]) -> GoldenResult:
    """Run the stored inputs and compare the outputs within the manifest's tolerances.

    Args:
        manifest: names the stored vectors and how closely outputs must agree:
            ``|ours - original| <= atol + rtol * |original|``.
        sessions: the model's networks by role.

    Raises:
        ManifestError: no golden vectors, or they miss a role or an input.
        WeightsCorrupt: the stored file's digest does not agree.
    """
    stored = read_golden(manifest)
    golden, _ = _golden(manifest)
    compared, worst, faults = 0, 0.0, []
    for role, session in sessions.items():
        feeds = _part(stored, f"{role}/in/")
        expected = _part(stored, f"{role}/out/")
        if set(feeds) != set(session.inputs) or not expected:
            raise ManifestError(
                f"golden vectors of {manifest.name} do not fit network {role}: inputs {sorted(feeds)} for "
                f"{sorted(session.inputs)}; make them again with benchmarks/make_golden.py"
            )
        outputs = session.run(feeds)
        for name, original in expected.items():
            compared += 1
            fault, difference = _compare(outputs.get(name), original, golden.rtol, golden.atol)
            worst = max(worst, difference)
            if fault:
                faults.append(f"{role}/{name}: {fault}")
    return GoldenResult(compared, worst, tuple(faults))


def _part(stored: Mapping[str, FloatArray], prefix: str) -> dict[str, FloatArray]:
    return {name.removeprefix(prefix): a for name, a in stored.items() if name.startswith(prefix)}


def _compare(found: FloatArray | None, original: FloatArray, rtol: float, atol: float) -> tuple[str, float]:
    if found is None or found.shape != original.shape:
        shape = "nothing" if found is None else found.shape
        return f"expected an output of shape {original.shape}, got {shape}", 0.0
    if not np.isfinite(found).all():
        return "the output is not finite", float("inf")
    difference = np.abs(found.astype(np.float64) - original)
    worst = float(difference.max(initial=0.0))
    if (difference > atol + rtol * np.abs(original)).any():
        return f"differs by {worst:.3g}, allowed are {atol:g} + {rtol:g} of the value", worst
    return "", worst
