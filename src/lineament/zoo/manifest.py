"""Manifests: one TOML per model is the registry of weights, licences, input contracts and measured figures."""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lineament.core.errors import ManifestError, ModelNotFound
from lineament.geometry import TEMPLATES
from lineament.zoo.options import user_models_folder
from lineament.zoo.records import faults_in_words
from lineament.zoo.toml import toml_document

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
NAME_PATTERN = r"^[a-z0-9]+([.-][a-z0-9]+)*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Task = Literal["detection", "landmarks", "embedding", "restore"]
PLUGIN_GROUP = "lineament.zoo"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PackageSource(_Strict):
    """A member of a file that the package index serves; the file is read, never installed or run."""

    kind: Literal["package"]
    package: str
    version: str
    archive: str
    archive_sha256: Sha256
    archive_bytes: int
    member: str


class UrlSource(_Strict):
    """The file at an address, or at one of its mirrors."""

    kind: Literal["url"]
    url: str
    mirrors: tuple[str, ...] = Field(default=(), strict=False)


class BundledSource(_Strict):
    """The file comes with this package, in ``zoo/weights/``."""

    kind: Literal["bundled"]


class Weight(_Strict):
    """One published weight file.

    Attributes:
        role: which network of the model it is; "model" when there is only one.
        file: relative path under a weights folder, and the name in the cache.
        sha256: digest of the published file, before conversion.
        bytes: its size.
        convert: "module:function" that turns its bytes into ONNX; empty when it is ONNX already.
        sources: where it may come from, besides the cache and the weights folder; tried in order.
    """

    role: str = Field(default="model", pattern=r"^[a-z0-9_]+$")
    file: str
    sha256: Sha256
    bytes: int = Field(gt=0)
    convert: str = ""
    sources: tuple[Annotated[PackageSource | UrlSource | BundledSource, Field(discriminator="kind")], ...] = (
        Field(default=(), strict=False)
    )

    def own_places(self) -> tuple[Path, ...]:
        """Where the file is when it came with this package, or with a model that the user added."""
        bundled = any(s.kind == "bundled" for s in self.sources)
        inside = (Path(str(files("lineament.zoo") / "weights" / Path(self.file).name)),) if bundled else ()
        return (*inside, user_models_folder() / self.file)


class Licence(_Strict):
    """Three answers that differ: the code, the weights, the training data."""

    code: str
    weights: str
    data: str
    commercial_use: bool


class InputSpec(_Strict):
    """What the network eats: NCHW float32, ``(pixel - mean) / std`` per channel in ``colour`` order.

    Attributes:
        shape: size of each axis; a word names an axis of free length.
        template: crop template of aligned faces; empty for whole pictures.
    """

    colour: Literal["RGB", "BGR"]
    shape: tuple[int | str, ...] = Field(strict=False)
    mean: tuple[float, float, float] = Field(strict=False)
    std: tuple[float, float, float] = Field(strict=False)
    template: str = ""


class Golden(_Strict):
    """Stored inputs and outputs of the original runtime, and how closely ours must agree."""

    file: str
    sha256: Sha256
    rtol: float
    atol: float


class Metric(_Strict):
    """A measured figure; ``measured_by`` is "us" (then ``report`` names the file) or "publisher"."""

    name: str
    value: float
    interval95: tuple[float, float] | None = Field(default=None, strict=False)
    protocol: str
    measured_by: Literal["us", "publisher"]
    report: str = ""


class Manifest(_Strict):
    """Everything that varies with a model's weights.

    Attributes:
        factory: "module:Class"; called with a :class:`lineament.zoo.loading.LoadedModel`.
        dimension: length of an embedding; 0 for other tasks.
        settings: numbers of the family (score threshold, overlap) as measured for these weights.
    """

    schema_version: Literal[1] = Field(alias="schema")
    name: Name
    task: Task
    factory: str = Field(pattern=r"^[\w.]+:\w+$")
    summary: str
    publisher: str
    paper: str = ""
    dimension: int = 0
    weights: tuple[Weight, ...] = Field(strict=False)
    licence: Licence
    input: InputSpec
    golden: Golden | None = None
    settings: Mapping[str, float] = Field(default_factory=dict)
    metric: tuple[Metric, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        if self.input.template and self.input.template not in TEMPLATES:
            raise ValueError(
                f"there is no crop template {self.input.template!r}; there are {sorted(TEMPLATES)}"
            )
        if (self.task == "embedding") != (self.dimension > 0):
            raise ValueError("dimension must be set for embedding models and only for them")
        if not self.weights:
            raise ValueError("a model needs at least one weight file")
        roles = [w.role for w in self.weights]
        if len(set(roles)) != len(roles):
            raise ValueError(f"each weight needs its own role, got {roles}")
        return self

    def digest(self, *extra: str) -> str:
        """Short hex digest of everything that decides the model's output: weights, conversion, input and crop.

        Args:
            extra: further facts that change the output, the precision for example.
        """
        facts = [[w.role, w.sha256, w.convert] for w in self.weights]
        template = TEMPLATES.get(self.input.template)
        crop = template.points.tolist() if template else []
        inputs = self.input.model_dump(mode="json")
        text = json.dumps([facts, inputs, crop, self.dimension, extra], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def manifest_text(manifest: Manifest) -> str:
    """The manifest as a TOML document; :func:`parse_manifest` reads it back to an equal one."""
    return toml_document(manifest.model_dump(mode="json", by_alias=True, exclude_none=True))


def parse_manifest(text: str, origin: str) -> Manifest:
    """Parse and check one manifest.

    Raises:
        ManifestError: not TOML, or keys unknown, missing or of the wrong kind; lists all faults.
    """
    try:
        return Manifest.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{origin} is not valid TOML: {error}") from error
    except ValidationError as error:
        faults, count = faults_in_words(error, "manifest"), error.error_count()
        raise ManifestError(f"{origin} has {count} fault{'s' * (count > 1)}: {faults}") from error


def _folders() -> list[Any]:
    """Folders with manifests: the built-in one, one for each plugin, then the user's."""
    plugins = [files(point.load()) for point in entry_points(group=PLUGIN_GROUP)]
    own = user_models_folder()
    return [files("lineament.zoo") / "models", *plugins, *([own] if own.is_dir() else [])]


@cache
def list_models() -> Mapping[str, Manifest]:
    """All manifests by name.

    Raises:
        ManifestError: a manifest has faults, or two have the same name.
    """
    found: dict[str, Manifest] = {}
    for folder in _folders():
        for entry in sorted(folder.iterdir(), key=lambda e: e.name):
            if not entry.name.endswith(".toml"):
                continue
            manifest = parse_manifest(entry.read_text(encoding="utf-8"), str(entry))
            if manifest.name in found:
                raise ManifestError(
                    f"two manifests are named {manifest.name!r}; rename or remove the one in {folder}"
                )
            found[manifest.name] = manifest
    return found


def find_model(name: str, task: Task | None = None) -> Manifest:
    """The manifest called ``name``, of ``task`` when given.

    Raises:
        ModelNotFound: no such model; names those there are.
    """
    models = {n: m for n, m in list_models().items() if task is None or m.task == task}
    if name not in models:
        what = f"{task} model" if task else "model"
        raise ModelNotFound(f"no {what} is called {name!r}; there are: {', '.join(models) or 'none'}")
    return models[name]


def is_user_model(name: str) -> bool:
    """True when the user added a model of that name; its manifest may be damaged."""
    return bool(re.match(NAME_PATTERN, name)) and user_manifest(name).is_file()


def user_manifest(name: str) -> Path:
    """Where the manifest of a user's model lies, whether it is there or not."""
    return user_models_folder() / f"{name}.toml"


def golden_path(manifest: Manifest) -> Path | None:
    """The stored golden vectors of ``manifest``, if it has any."""
    if manifest.golden is None:
        return None
    own = user_models_folder() / manifest.golden.file
    return own if own.is_file() else Path(str(files("lineament.zoo") / "golden" / manifest.golden.file))
