"""Settings of the service: one TOML file for operators, checked whole before anything starts."""

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from lineament.core.errors import ConfigError

MIB = 1 << 20


def _beside(path: Path, info: ValidationInfo) -> Path:
    """A path as the file means it: beside the file."""
    folder = (info.context or {}).get("folder")
    return path.expanduser() if folder is None else folder / path.expanduser()


FilePath = Annotated[Path, Field(strict=False), AfterValidator(_beside)]
"""A path; relative ones are relative to the folder of the settings file."""


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True
    )


class ServerSettings(_Section):
    """Where the service listens.

    Attributes:
        host: name or address; anything but this machine needs keys.
        port: TCP port; 0 takes a free one.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)


class EngineSettings(_Section):
    """What does the work.

    Attributes:
        profile: models and rules, or a user's own embedder.
        backend: inference runtime.
        workers: pieces of work at a time; 0 for one a core.
        queue: pieces of work that may wait; more are refused with 429.
    """

    profile: str = "open"
    backend: Literal["auto", "onnxruntime", "openvino"] = "auto"
    workers: int = Field(default=0, ge=0, le=256)
    queue: int = Field(default=32, ge=0, le=100_000)


class LimitSettings(_Section):
    """What one request, and all of them together, may take.

    Attributes:
        body_bytes: largest body.
        pending_bytes: bodies of all requests together that are held in memory; more are refused with 429.
        picture_pixels: largest picture, width times height; decoding takes up to 10 bytes a pixel and worker.
        faces: faces of one picture that are given out, best scores first.
        body_s: time for a client to send its body.
        send_s: time for a client to take a piece of the answer.
        work_s: time from when a request was accepted to its answer.
    """

    body_bytes: int = Field(default=32 * MIB, ge=1024)
    pending_bytes: int = Field(default=256 * MIB, ge=1024)
    picture_pixels: int = Field(default=40_000_000, ge=1)
    faces: int = Field(default=64, ge=1, le=10_000)
    body_s: float = Field(default=20.0, gt=0)
    send_s: float = Field(default=20.0, gt=0)
    work_s: float = Field(default=30.0, gt=0)

    @model_validator(mode="after")
    def _one_fits(self) -> Self:
        if self.pending_bytes < self.body_bytes:
            raise ValueError("pending_bytes must be at least body_bytes, or no large body would ever be read")
        return self


class GallerySettings(_Section):
    """Where galleries lie.

    Attributes:
        folder: of embedded galleries; made when it is not there.
        dsn: PostgreSQL connection string; empty for embedded galleries.
        key_file: key of encrypted galleries; None where none is, or where the environment gives it.
    """

    folder: FilePath = Path("galleries")
    dsn: str = ""
    key_file: FilePath | None = None


class AccessSettings(_Section):
    """Who may call.

    Attributes:
        keys: file of API keys; None lets everybody on this machine do everything.
        origins: origins of other web pages that may call from a browser.
    """

    keys: FilePath | None = None
    origins: tuple[str, ...] = Field(default=(), strict=False)


class AuditSettings(_Section):
    """Where decisions and changes are written down.

    Attributes:
        folder: of the audit log; made when it is not there.
        key_file: key that seals it; None for a plain hash chain.
    """

    folder: FilePath = Path("lineament.audit")
    key_file: FilePath | None = None


class ReportSettings(_Section):
    """Evaluation reports to show.

    Attributes:
        folder: with the JSON files of ``lineament evaluate``; None shows none.
    """

    folder: FilePath | None = None


class ServiceConfig(_Section):
    """All settings; each section is a table of the file, and everything has a default that is safe."""

    server: ServerSettings = ServerSettings()
    engine: EngineSettings = EngineSettings()
    limits: LimitSettings = LimitSettings()
    gallery: GallerySettings = GallerySettings()
    access: AccessSettings = AccessSettings()
    audit: AuditSettings = AuditSettings()
    reports: ReportSettings = ReportSettings()

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Settings from a TOML file; relative paths in it are relative to its folder.

        Raises:
            ConfigError: it cannot be read, or has faults; lists all of them.
        """
        try:
            with Path(path).open("rb") as file:
                document = tomllib.load(file)
        except OSError as error:
            raise ConfigError(f"settings {path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"settings {path} are not TOML: {error}") from error
        # a section that is left out has paths beside the file, too
        sections = {name: {} for name in cls.model_fields} | document
        try:
            return cls.model_validate(sections, context={"folder": Path(path).absolute().parent})
        except ValidationError as error:
            faults = "; ".join(
                _fault(fault) for fault in error.errors(include_url=False, include_input=False)
            )
            raise ConfigError(f"settings {path} have {error.error_count()} faults: {faults}") from error


def _fault(fault: Any) -> str:
    """One fault in words, with the nearest name for a key that does not exist."""
    place = ".".join(map(str, fault["loc"])) or "file"
    if fault["type"] != "extra_forbidden":
        return f"{place}: {fault['msg']}"
    *section, key = map(str, fault["loc"])
    fields = ServiceConfig.model_fields
    known = list(type(fields[section[0]].default).model_fields) if section else list(fields)
    near = difflib.get_close_matches(key, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}"
    return f"{place}: there is no such setting; {hint}"
