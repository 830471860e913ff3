"""Profiles: named choices of models and rules, one TOML each."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lineament.core.errors import ConfigError
from lineament.zoo.manifest import is_user_model, list_models
from lineament.zoo.records import faults_in_words
from lineament.zoo.session import Precision


class Profile(BaseModel):
    """Models and rules that work together.

    Attributes:
        detector: detector model of the zoo.
        sides_px: longest sides at which the detector looks at each picture, so that faces that fill it and faces
            in a crowd are both found.
        embedder: embedder of the zoo; "NAME+flip" averages each crop with its mirror image.
        detector_precision: arithmetic of the detector; "auto" is bf16 where OpenVINO and the processor have it.
        precision: arithmetic of the embedder, "f32" or "bf16"; part of the embedding space, so never left open.
        min_face_px: smallest face that is compared; shorter side of its box.
        rival_ratio: a second face of at least this share of the largest one's size makes a picture ambiguous.
        mesh_remover: model that takes security meshes off references that are verified; empty for none.
        clean_touched_rate: share of clean references that may be taken for meshed, a fraction.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    summary: str
    detector: str
    sides_px: tuple[int, ...] = Field(strict=False, min_length=1)
    embedder: str
    detector_precision: Precision = "auto"
    precision: Literal["f32", "bf16"] = "f32"
    min_face_px: float = Field(ge=1)
    rival_ratio: float = Field(gt=0, le=1)
    mesh_remover: str = ""
    clean_touched_rate: float = Field(default=1e-3, gt=0, lt=1)

    def models(self) -> tuple[str, ...]:
        """Names of the models in the zoo: detector, embedder, and what else takes part."""
        more = (self.mesh_remover,) if self.mesh_remover else ()
        return (self.detector, self.embedder.partition("+")[0], *more)


@cache
def list_profiles() -> dict[str, Profile]:
    """All profiles by name.

    Raises:
        ConfigError: a profile has faults; lists all of them.
    """
    found = {}
    for entry in sorted((files("lineament.zoo") / "profiles").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            try:
                profile = Profile.model_validate(tomllib.loads(entry.read_text(encoding="utf-8")))
            except ValidationError as error:
                faults = faults_in_words(error, "profile")
                raise ConfigError(
                    f"profile {entry.name} has {error.error_count()} faults: {faults}"
                ) from error
            found[profile.name] = profile
    return found


def find_profile(name: str) -> Profile:
    """The profile called ``name``; an embedder that the user added is one too, with all else as in ``open``.

    Args:
        name: name of a profile, or of a user's own embedder; "NAME+flip" averages with the mirror image.

    Raises:
        ConfigError: no such profile; names those there are.
        ManifestError: a manifest of the user's model has faults.
    """
    profiles = list_profiles()
    if name in profiles:
        return profiles[name]
    base, _, option = name.partition("+")
    own = list_models().get(base) if is_user_model(base) else None
    if own is None or own.task != "embedding" or option not in {"", "flip"}:
        raise ConfigError(f"no profile is called {name!r}; there are: {', '.join(profiles)}")
    return profiles["open"].model_copy(update={"name": name, "summary": own.summary, "embedder": name})
