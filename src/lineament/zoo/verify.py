"""Whether the weights on this machine are what the manifests say; nothing is fetched or repaired."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lineament.core.errors import WeightsCorrupt
from lineament.zoo.files import sha256_of
from lineament.zoo.golden import GoldenResult, check_golden
from lineament.zoo.manifest import Manifest, Weight, is_user_model
from lineament.zoo.options import FetchOptions
from lineament.zoo.session import Runtime, open_session
from lineament.zoo.store import DIGESTS, derived_folder, network_files

Where = Literal["package", "yours", "cache", "folder", "fetch", "absent"]


@dataclass(frozen=True, slots=True)
class FileCheck:
    """One file and its digest.

    Attributes:
        path: the file.
        expected: SHA-256 that it must have.
        found: SHA-256 that it has; empty when it cannot be read.
    """

    path: Path
    expected: str
    found: str

    @property
    def is_sound(self) -> bool:
        """True when the digests agree."""
        return self.expected == self.found


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found for one model.

    Attributes:
        name: the model.
        files: every file of it that is on this machine; none means that it has not been fetched.
        golden: comparison with the original's outputs; None without golden vectors or without sound files.
        golden_fault: why the golden vectors themselves could not be used; empty otherwise.
    """

    name: str
    files: tuple[FileCheck, ...]
    golden: GoldenResult | None
    golden_fault: str = ""

    @property
    def is_sound(self) -> bool:
        """True when every file and every golden output agrees; also when there is nothing to check."""
        golden = self.golden is None or not self.golden.faults
        return golden and not self.golden_fault and all(f.is_sound for f in self.files)


def whereabouts(manifest: Manifest, options: FetchOptions) -> Where:
    """Where a model's weights are, judged by name and size: no file is read.

    Returns: "package" (it came with this package), "yours" (you added it), "cache" (ready or fetched), "folder" (in
        a weights folder), "fetch" (a source can be asked), or "absent" (it comes through a weights folder only, and
        is in none).
    """
    if is_user_model(manifest.name):
        return "yours"
    if all(any(p.is_file() for p in w.own_places()) for w in manifest.weights):
        return "package"
    if (derived_folder(manifest, options) / DIGESTS).is_file() and all(w.convert for w in manifest.weights):
        return "cache"
    found = [_published(w, options) for w in manifest.weights]
    if all(p and p.stat().st_size == w.bytes for p, w in zip(found, manifest.weights, strict=True)):
        return "cache" if all(p and options.cache in p.parents for p in found) else "folder"
    return "fetch" if all(w.sources for w in manifest.weights) and not options.offline else "absent"


def verify_weights(manifest: Manifest, runtime: Runtime, options: FetchOptions) -> Verification:
    """Compare every file of a model with its digest, then its networks with the golden vectors.

    Args:
        manifest: the model.
        runtime: what the networks are run with.
        options: cache and weights folders; no source is asked.

    Raises:
        RuntimeUnavailable: the runtime cannot be had here.
    """
    published = {w.role: _published(w, options) for w in manifest.weights}
    checks = [
        FileCheck(path, w.sha256, _digest(path))
        for w in manifest.weights
        if (path := published[w.role]) is not None
    ]
    folder = derived_folder(manifest, options)
    checks += [FileCheck(folder / name, sha256, _digest(folder / name)) for name, sha256 in _noted(folder)]
    golden, fault = None, ""
    if manifest.golden and (folder / DIGESTS).is_file() and all(c.is_sound for c in checks):
        networks = {
            w.role: network_files(folder, w, published[w.role])
            for w in manifest.weights
            if w.convert or published[w.role] is not None
        }
        sessions = {role: open_session(f.path, runtime, f.prepared) for role, f in networks.items()}
        try:
            golden = check_golden(manifest, sessions)
        except WeightsCorrupt as error:
            fault = str(error)
    return Verification(manifest.name, tuple(checks), golden, fault)


def _published(weight: Weight, options: FetchOptions) -> Path | None:
    """The published file wherever it is, whatever its size: a truncated one must be found too."""
    names = [options.cached(weight.sha256, weight.file), *weight.own_places()]
    for folder in options.folders:
        names += [folder / weight.file, folder / Path(weight.file).name]
    return next((p for p in names if p.is_file()), None)


def _noted(folder: Path) -> list[tuple[str, str]]:
    try:
        return sorted(json.loads((folder / DIGESTS).read_bytes()).items())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, AttributeError):
        return [(DIGESTS, "a list of digests")]


def _digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:
        return ""
