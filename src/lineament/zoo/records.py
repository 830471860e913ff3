"""Records of measurements as TOML files: the user's own ones before those of the package, all checked when read."""

import os
import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lineament.core.errors import ManifestError

T = TypeVar("T", bound=BaseModel)
FOLDER_VARIABLE = "LINEAMENT_CALIBRATION"


class Strict(BaseModel):
    """A part of a record: no unknown keys, no conversions, finite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class CalibrationData(Strict):
    """One data set behind a record.

    Attributes:
        name: name of the data set.
        digest: sha256 of the list of its samples and pictures, hex; equal digests mean equal data.
    """

    name: str
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


def user_calibration_folder() -> Path:
    """Where a user's own records lie: ``LINEAMENT_CALIBRATION``, or a folder of the user data directory."""
    given = os.environ.get(FOLDER_VARIABLE)
    return (
        Path(given).expanduser() if given else Path(platformdirs.user_data_dir("lineament")) / "calibration"
    )


def record_folders() -> Iterator[Traversable]:
    """Folders with records, the user's own one first."""
    yield user_calibration_folder()
    yield files("lineament.zoo") / "calibration"


def record_file_name(of: str) -> str:
    """File name of the record of a space or remover: its id with unusual characters turned into "-"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", of) + ".toml"


def faults_in_words(error: ValidationError, whole: str) -> str:
    """All faults of a document in one line.

    Args:
        error: what was found.
        whole: what a fault of the whole document is said of.
    """
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or whole}: {fault['msg']}"
        for fault in error.errors(include_url=False)
    )


def parse_record(kind: type[T], text: str, what: str) -> T:
    """A record from its TOML text.

    Args:
        kind: its model.
        text: the document.
        what: what to call it in errors.

    Raises:
        ManifestError: not TOML, or keys that are unknown, missing or wrong; all are listed.
    """
    try:
        return kind.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{what} is not TOML: {error}") from error
    except ValidationError as error:
        raise ManifestError(
            f"{what} has {error.error_count()} faults: {faults_in_words(error, 'record')}"
        ) from error


def find_record(kind: type[T], what: str, owner: tuple[str, str], below: str = "") -> T | None:
    """The record of a space or remover: the user's own one, else the one of the package, else None.

    Args:
        kind: its model.
        what: what to call it in errors.
        owner: the field of the record that names whose it is, and the id that must stand there.
        below: folder within the calibration folders.

    Raises:
        ManifestError: a record with faults, or one that lies under the name of another owner.
    """
    field, wanted = owner
    for folder in record_folders():
        entry = (folder / below if below else folder) / record_file_name(wanted)
        if entry.is_file():
            record = parse_record(kind, entry.read_text(encoding="utf-8"), f"{what} {entry.name}")
            said = getattr(record, field)
            if said != wanted:
                raise ManifestError(
                    f"{what} {entry.name} should be of {field} {wanted}, it says {said}; give the file the name of "
                    f"its own {field}"
                )
            return record
    return None
