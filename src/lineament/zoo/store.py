"""The weight store: from a manifest to network files that can be opened.

The cache holds published files by digest, and for each model a folder with what was made of them: the ONNX file
after conversion and the one that is rewritten for ONNX Runtime. Every file is compared with its digest on every
load. A model's golden vectors are checked once, before its folder becomes visible.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from lineament.core.errors import ManifestError, WeightsCorrupt
from lineament.zoo.files import beside, disk_errors, sha256_of, write_atomic
from lineament.zoo.golden import check_golden
from lineament.zoo.graph import REWRITE_VERSION, prepare
from lineament.zoo.manifest import Manifest, Weight
from lineament.zoo.options import FetchOptions, one_at_a_time
from lineament.zoo.session import Runtime, open_session
from lineament.zoo.sources import find_local, obtain

logger = logging.getLogger(__name__)
DIGESTS = "digests.json"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One network on disk.

    Attributes:
        path: ONNX as published or converted.
        prepared: the same network rewritten for ONNX Runtime; None when there is nothing to rewrite.
    """

    path: Path
    prepared: Path | None


def ensure_weights(manifest: Manifest, fetch: FetchOptions | None = None) -> dict[str, WeightFile]:
    """Network files by role, fetched, converted and checked where that was not done before.

    Several processes may ask at once: one works, the others wait for it.

    Args:
        manifest: whose weights.
        fetch: where to look; by default what the environment says.

    Raises:
        WeightsMissing: no source has a file, or the cache cannot be written.
        WeightsCorrupt: a digest or golden vector does not agree, or a file is malformed.
    """
    options = fetch or FetchOptions.from_environment()
    ready = _ready(manifest, options)
    if ready is not None:
        return ready
    with disk_errors(options.cache), one_at_a_time(options, manifest.name):
        ready = _ready(manifest, options)
        if ready is None:
            derive(manifest, obtain(manifest, options), options)
            ready = _ready(manifest, options)
    if ready is None:
        raise WeightsCorrupt(
            f"weights for {manifest.name} in {options.cache} changed while they were being read; "
            f'run "lineament models verify {manifest.name}"'
        )
    return ready


def derived_folder(manifest: Manifest, options: FetchOptions) -> Path:
    """Where the cache keeps what is made of the published files; another converter makes another folder."""
    facts = [manifest.digest(), REWRITE_VERSION, manifest.golden.sha256 if manifest.golden else ""]
    facts += [_code_digest(w.convert) for w in manifest.weights if w.convert]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    return options.cache / "models" / f"{manifest.name}-{key}"


def _code_digest(convert: str) -> str:
    """Digest of the converter's module and its neighbours, so that a changed converter converts again."""
    spec = find_spec(convert.partition(":")[0])
    if spec is None or spec.origin is None:
        raise ManifestError(f"converter {convert!r} cannot be imported; correct the manifest")
    digest = hashlib.sha256()
    for path in sorted(Path(spec.origin).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _ready(manifest: Manifest, options: FetchOptions) -> dict[str, WeightFile] | None:
    """The files of a model whose every digest agrees, else None."""
    folder = derived_folder(manifest, options)
    if not _sound(folder):
        return None
    ready = {}
    for weight in manifest.weights:
        published = None if weight.convert else find_local(weight, options)
        if published is None and not weight.convert:
            return None
        ready[weight.role] = network_files(folder, weight, published)
    return ready


def network_files(folder: Path, weight: Weight, published: Path | None) -> WeightFile:
    """The files of one network.

    Args:
        folder: where the model's derived files are.
        weight: which network.
        published: its published file; None only when it is converted.
    """
    prepared = folder / f"{weight.role}.prepared.onnx"
    path = folder / f"{weight.role}.onnx" if published is None or weight.convert else published
    return WeightFile(path, prepared if prepared.is_file() else None)


def _sound(folder: Path) -> bool:
    """True when every file of a derived folder has the digest that was noted when it was made."""
    try:
        digests: Mapping[str, str] = json.loads((folder / DIGESTS).read_bytes())
        wrong = [name for name, sha256 in digests.items() if sha256_of(folder / name) != sha256]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, AttributeError) as error:
        logger.warning("converted weights in %s cannot be read (%s); they are made again", folder, error)
        return False
    if wrong:
        logger.warning("converted weights in %s are damaged (%s); they are made again", folder, wrong)
    return not wrong


def derive(manifest: Manifest, published: Mapping[str, Path], options: FetchOptions) -> None:
    """Convert, rewrite and check a model's networks, then show their folder under its name.

    Raises:
        WeightsCorrupt: a file cannot be converted, or a golden vector does not agree.
    """
    folder = derived_folder(manifest, options)
    work = beside(folder)
    work.mkdir(parents=True)
    try:
        digests = {}
        for weight in manifest.weights:
            for name, data in _networks(weight, published[weight.role]).items():
                write_atomic(work / name, data)
                digests[name] = hashlib.sha256(data).hexdigest()
        _check(manifest, {w.role: network_files(work, w, published[w.role]) for w in manifest.weights})
        write_atomic(work / DIGESTS, json.dumps(digests, indent=1).encode())
        shutil.rmtree(folder, ignore_errors=True)
        work.replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _networks(weight: Weight, published: Path) -> dict[str, bytes]:
    """File names and bytes of what is made of one published file."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    data = published.read_bytes()
    made = {}
    if weight.convert:
        module, _, function = weight.convert.partition(":")
        data = made[f"{weight.role}.onnx"] = getattr(import_module(module), function)(data)
    try:
        prepared = prepare(data)
    except DecodeError as error:
        raise WeightsCorrupt(
            f"expected a serialised ONNX model, but {published} cannot be parsed; delete it and fetch it again"
        ) from error
    if prepared != data:
        made[f"{weight.role}.prepared.onnx"] = prepared
    return made


def _check(manifest: Manifest, files: Mapping[str, WeightFile]) -> None:
    if manifest.golden is None:
        return
    runtime = Runtime("onnxruntime", threads=1)
    sessions = {role: open_session(f.path, runtime, f.prepared) for role, f in files.items()}
    result = check_golden(manifest, sessions)
    if result.faults:
        raise WeightsCorrupt(
            f"weights for {manifest.name} do not give the outputs of the original: {'; '.join(result.faults)}; "
            f'run "lineament models verify {manifest.name}"'
        )
