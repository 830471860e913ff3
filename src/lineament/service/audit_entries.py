"""The lines of an audit log: one for each search, decision and change, each line sealing the one before.

A log is a folder::

    audit-0000000000000001.jsonl   entries from number 1 on; the name says the first one
    audit-0000000000104857.jsonl   the file was full, the chain goes on
    audit.head                     number and seal of the last entry
    .audit.lock                    taken by the process that writes

A line is one JSON object in ASCII. Its last member is the seal: SHA-256 of all the bytes before it (closed by "}"),
or HMAC-SHA-256 where the log has a key; the member before is the seal of the entry before. Whoever changes, removes
or reorders entries must therefore rewrite all that follow, and the head; with a key that lies elsewhere nobody can,
and a pair of number and seal kept elsewhere (:class:`Anchor`) shows it even without a key.
"""

import hashlib
import hmac
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lineament.core.errors import ConfigError, ServiceError

MAX_IDS = 1000
"""Result ids that one entry may name."""
MAX_TEXT = 300
"""Characters of one text of an entry."""
MAX_LINE_BYTES = 8 << 20
"""No entry is longer: ids and texts are bounded, and a character takes at most 12 bytes."""
MAC_KEY_BYTES = 32
"""A key of a log has at least as many."""
HEAD_NAME = "audit.head"
"""File that tells how far a log goes."""

_LOCK_NAME = ".audit.lock"
_LOCK_S = 30.0
_START = "0" * 64
_TAIL = re.compile(rb',"(sha256|hmac_sha256)":"([0-9a-f]{64})"\}')
_TAIL_BYTES = {"sha256": 77, "hmac_sha256": 82}
_HEAD = re.compile(rb"([0-9]{16}) ([0-9a-f]{64}) ([0-9a-f]{64})\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What is written down. It has no place for pixels or vectors.

    Attributes:
        action: what was asked: "verify", "identify", "subject.enroll", "gallery.delete".
        outcome: "match", "no_match", "undecided", "refused"; for changes "asked", then "done" or "failed".
        request_id: the ``X-Request-Id`` of the request.
        key_id: id of the caller's key; empty on a service without keys.
        route: path template of the request, "/v1/galleries/{gallery}/identify".
        gallery: name of the gallery.
        result_ids: subjects, samples or jobs that the answer named or the change touched; at most :data:`MAX_IDS`.
        similarity: cosine behind a decision, in [-1, 1].
        threshold: similarity that the decision was held against.
        fmr: false match rate that was asked for, a fraction.
        fpir: false positive identification rate that was asked for, a fraction.
        record: name of the calibration record.
        space: id of the embedding space.
        weights: names of the models, with digests.
    """

    action: str
    outcome: str
    request_id: str = ""
    key_id: str = ""
    route: str = ""
    gallery: str = ""
    result_ids: tuple[str, ...] = ()
    similarity: float | None = None
    threshold: float | None = None
    fmr: float | None = None
    fpir: float | None = None
    record: str = ""
    space: str = ""
    weights: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for column in fields(self):
            _check(column.name, getattr(self, column.name))
        if not (self.action and self.outcome):
            raise ValueError("an entry needs an action and an outcome")


def _check(name: str, value: object) -> None:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"{name} must have at most {MAX_TEXT} characters, got {len(value)}")
    elif isinstance(value, tuple):
        if len(value) > MAX_IDS or not all(isinstance(text, str) for text in value):
            raise ValueError(f"{name} must be at most {MAX_IDS} texts, got {len(value)}")
        for text in value:
            _check(name, text)
    elif not (value is None or (isinstance(value, int | float) and math.isfinite(value))):
        raise ValueError(f"{name} must be a finite number, text, texts or None, got {type(value).__name__}")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A line of the log.

    Attributes:
        number: counts from 1 without gaps.
        at: when, ISO 8601 in UTC with microseconds. A clock may go back; numbers do not.
        event: what happened.
        previous: seal of the entry before; zeros for the first one.
        seal: hex digest over all of this.
    """

    number: int
    at: str
    event: AuditEvent
    previous: str
    seal: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """An entry by number and seal. Kept elsewhere, it shows later whether the log still holds what it held.

    Attributes:
        number: of the entry; 0 stands before the first one.
        seal: its seal, 64 hexadecimal digits.
    """

    number: int = 0
    seal: str = _START

    def __post_init__(self) -> None:
        if self.number < 0 or not re.fullmatch(r"[0-9a-f]{64}", self.seal):
            raise ValueError(f"an anchor is NUMBER:SEAL with 64 hexadecimal digits, got {self}")

    def __str__(self) -> str:
        return f"{self.number}:{self.seal}"

    @classmethod
    def parse(cls, text: str) -> "Anchor":
        """Read ``NUMBER:SEAL``.

        Raises:
            ValueError: it is not of that form.
        """
        number, _, seal = text.partition(":")
        if not re.fullmatch(r"[0-9]{1,16}", number):
            raise ValueError(f"an anchor is NUMBER:SEAL with 64 hexadecimal digits, got {text[:100]!r}")
        return cls(int(number), seal)


class Sealer:
    """Makes and checks seals.

    Args:
        mac_key: at least 32 bytes for HMAC-SHA-256; None for SHA-256.

    Raises:
        ValueError: the key is too short.
    """

    def __init__(self, mac_key: bytes | None = None) -> None:
        if mac_key is not None and len(mac_key) < MAC_KEY_BYTES:
            raise ValueError(
                f"the key of an audit log must have at least {MAC_KEY_BYTES} bytes, got {len(mac_key)}"
            )
        self._key = mac_key
        self.method = "sha256" if mac_key is None else "hmac_sha256"

    def seal(self, data: bytes) -> str:
        """Hex digest."""
        if self._key is None:
            return hashlib.sha256(data).hexdigest()
        return hmac.digest(self._key, data, "sha256").hex()

    def line(self, entry_number: int, at: str, event: AuditEvent, previous: str) -> tuple[bytes, str]:
        """The line of an entry, newline and all, and its seal."""
        body: dict[str, Any] = {"number": entry_number, "at": at}
        body |= {f.name: getattr(event, f.name) for f in fields(event)}
        kept = {name: value for name, value in body.items() if value not in {None, "", ()}}
        data = json.dumps(kept | {"previous": previous}, separators=(",", ":"), allow_nan=False).encode(
            "ascii"
        )
        seal = self.seal(data)
        return data[:-1] + f',"{self.method}":"{seal}"}}\n'.encode("ascii"), seal

    def parse(self, line: bytes) -> AuditEntry | None:
        """The entry of a line without its newline; None when a byte of it is not as it was written."""
        tail = _TAIL.fullmatch(line, max(0, len(line) - _TAIL_BYTES[self.method]))
        if tail is None or tail[1].decode() != self.method:
            return None
        body = line[: tail.start()] + b"}"
        seal = self.seal(body)
        if not hmac.compare_digest(seal.encode(), tail[2]):
            return None
        try:
            return _entry(json.loads(body), seal)
        except (ValueError, TypeError, KeyError):
            return None

    def head(self, anchor: Anchor) -> bytes:
        """Content of the head file, always of the same length."""
        shown = f"{anchor.number:016d} {anchor.seal} "
        return f"{shown}{self.seal(b'head ' + shown.encode())}\n".encode()

    def parse_head(self, data: bytes) -> Anchor | None:
        """What a head file says; None when it is not as it was written."""
        found = _HEAD.fullmatch(data)
        anchor = Anchor(int(found[1]), found[2].decode()) if found else None
        return anchor if anchor is not None and self.head(anchor) == data else None


def _entry(body: dict[str, Any], seal: str) -> AuditEntry:
    number, at, previous = body.pop("number"), body.pop("at"), body.pop("previous")
    for name in ("result_ids", "weights"):
        if name in body:
            body[name] = tuple(body[name])
    datetime.fromisoformat(at)
    if not isinstance(number, int) or not isinstance(previous, str):
        raise TypeError("a number and a seal")
    return AuditEntry(number, at, AuditEvent(**body), previous, seal)


def read_mac_key(path: Path) -> bytes:
    """The key of a log from a file, without the white space around it.

    Args:
        path: file with at least 32 random bytes, or 64 hexadecimal digits of them.

    Raises:
        ConfigError: it cannot be read or is too short.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"the key file {path} of the audit log cannot be read: {error.strerror}") from error
    if len(key) < MAC_KEY_BYTES:
        raise ConfigError(
            f"the key file {path} of the audit log must hold at least {MAC_KEY_BYTES} bytes, got {len(key)}; "
            "make one with: openssl rand -hex 32"
        )
    return key


def method_of(line: bytes) -> str:
    """How the log of this line is sealed, "sha256" or "hmac_sha256"; empty when that cannot be seen."""
    found = _TAIL.search(line, max(0, len(line) - 100))
    return found[1].decode() if found else ""


def segments(folder: Path) -> list[Path]:
    """The files of a log, oldest first."""
    return sorted(folder.glob("audit-" + "[0-9]" * 16 + ".jsonl"))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to the log.

    Raises:
        ServiceError: another one has held it for too long.
    """
    try:
        with FileLock(folder / _LOCK_NAME, timeout=_LOCK_S):
            yield
    except Timeout as error:
        raise ServiceError(
            f"another process has held the audit log {folder} for {_LOCK_S:g} s; look for it"
        ) from error
