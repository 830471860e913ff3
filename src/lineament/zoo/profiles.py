"""Profiles: named choices of models and rules, one TOML each."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lineament.core.errors import ConfigError
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
                faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
                raise ConfigError(
                    f"profile {entry.name} has {error.error_count()} faults: {faults}"
                ) from error
            found[profile.name] = profile
    return found


def find_profile(name: str) -> Profile:
    """The profile called ``name``.

    Raises:
        ConfigError: no such profile; names those there are.
    """
    profiles = list_profiles()
    if name not in profiles:
        raise ConfigError(f"no profile is called {name!r}; there are: {', '.join(profiles)}")
    return profiles[name]
