"""API keys: shown once, stored as digests, and read again by a running service when their file changes.

A key is ``lineament_<id>_<secret>``: 12 and 64 hexadecimal digits. The secret is 256 random bits, so nobody guesses
it from its digest, however fast the digest is; the slow hashes that protect passwords would only make every request
slow, and hand strangers a way to keep the service busy. SHA-256 is therefore what is stored.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ConfigDict, TypeAdapter, ValidationError

from lineament.core.errors import ConfigError

_KEY = re.compile(r"lineament_([0-9a-f]{12})_[0-9a-f]{64}")
_NOBODY = hashlib.sha256(b"").hexdigest()
_LOCK_S = 10.0
_STRICT = ConfigDict(extra="forbid")


class Scope(StrEnum):
    """What a key may do. No scope holds another one: a key that administers cannot search unless it says so."""

    READ = "read"
    """See models, calibration records, reports, and what galleries hold."""
    MATCH = "match"
    """Detect, embed, verify, identify."""
    ENROLL = "enroll"
    """Add, change and remove subjects and samples."""
    ADMIN = "admin"
    """Make and delete galleries; read the audit log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is known of a key; the key itself is not.

    Attributes:
        key_id: 12 hexadecimal digits; stands in logs.
        name: who or what uses it, for people.
        sha256: hex digest of the whole key.
        scopes: what it may do; at least one.
        galleries: names of the galleries that it may touch; None for all, those of tomorrow too.
        per_minute: requests a minute that it may make on the long run, above 0.
        burst: requests that it may make at once, at least 1.
        created_s: when it was made, s since 1970 UTC.
        expires_s: when it stops to work, s since 1970 UTC; None for never.
        revoked_s: when it was revoked, s since 1970 UTC; None when it was not.
    """

    __pydantic_config__ = _STRICT

    key_id: str
    name: str
    sha256: str
    scopes: frozenset[Scope]
    galleries: frozenset[str] | None = None
    per_minute: float = 600.0
    burst: int = 60
    created_s: float
    expires_s: float | None = None
    revoked_s: float | None = None

    def __post_init__(self) -> None:
        if not (re.fullmatch(r"[0-9a-f]{12}", self.key_id) and re.fullmatch(r"[0-9a-f]{64}", self.sha256)):
            raise ValueError("a key needs an id of 12 and a digest of 64 hexadecimal digits")
        if not (self.name.strip() and len(self.name) <= 100 and self.name.isprintable()):
            raise ValueError("a key needs a name of 1 to 100 printable characters")
        if not self.scopes:
            raise ValueError("a key without scopes can do nothing; give it read, match, enroll or admin")
        if self.galleries is not None and not self.galleries:
            raise ValueError("a key for no gallery at all: name some, or leave the list out for all")
        if not (0 < self.per_minute < float("inf") and self.burst >= 1):
            raise ValueError(
                f"a key needs a rate above 0 and a burst of at least 1, got {self.per_minute:g} and {self.burst}"
            )

    def fault_at(self, now_s: float) -> str:
        """Why the key does not work at ``now_s`` (s since 1970 UTC); empty when it does."""
        if self.revoked_s is not None:
            return "was revoked"
        if self.expires_s is not None and now_s >= self.expires_s:
            return "has expired"
        return ""


@dataclass(frozen=True, slots=True)
class _Stored:
    """The file: all keys, revoked ones too, because the audit log names them."""

    __pydantic_config__ = _STRICT

    version: int
    keys: tuple[ApiKey, ...]


_ADAPTER = TypeAdapter(_Stored)


class KeyFile:
    """The keys of a service in one JSON file that only its owner can change.

    Every change is written to another name, made durable and renamed; processes take turns with a lock file beside
    it. :meth:`find` reads the file again after a change, so that a revoked key stops to work at once, in every
    process. Safe to share between threads.

    Args:
        path: the file.
        clock: gives s since 1970 UTC.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._read: tuple[tuple[int, ...], dict[str, ApiKey]] = ((), {})

    def create(
        self,
        name: str,
        scopes: frozenset[Scope],
        *,
        galleries: frozenset[str] | None = None,
        per_minute: float = 600.0,
        burst: int = 60,
        valid_s: float | None = None,
    ) -> tuple[str, ApiKey]:
        """Make a key; the file is made when it is not there.

        Args:
            name: who or what uses it.
            scopes: what it may do.
            galleries: the only galleries that it may touch; None for all.
            per_minute: requests a minute on the long run.
            burst: requests at once.
            valid_s: how long it works, s; None for ever.

        Returns:
            The key, which is stored nowhere, and what is stored of it.

        Raises:
            ValueError: a value that makes no sense.
            ConfigError: the file cannot be read or written.
        """
        now_s = self._clock()
        with self._changing() as keys:
            key_id = secrets.token_hex(6)
            while key_id in keys:
                key_id = secrets.token_hex(6)
            text = f"lineament_{key_id}_{secrets.token_hex(32)}"
            key = ApiKey(
                key_id=key_id,
                name=name,
                sha256=_digest(text),
                scopes=scopes,
                galleries=galleries,
                per_minute=per_minute,
                burst=burst,
                created_s=now_s,
                expires_s=None if valid_s is None else now_s + valid_s,
            )
            keys[key_id] = key
        return text, key

    def revoke(self, key_id: str) -> ApiKey:
        """Make a key useless from now on; the date of an earlier revocation stays.

        Raises:
            ConfigError: there is no such key, or the file cannot be read or written.
        """
        with self._changing() as keys:
            if key_id not in keys:
                raise ConfigError(f'{self.path} holds no key {key_id!r}; see "lineament keys list"')
            if keys[key_id].revoked_s is None:
                keys[key_id] = replace(keys[key_id], revoked_s=self._clock())
            return keys[key_id]

    def list_keys(self) -> tuple[ApiKey, ...]:
        """All keys, oldest first.

        Raises:
            ConfigError: the file cannot be read, is damaged, or can be changed by others than its owner.
        """
        return tuple(self._load().values())

    def active(self) -> tuple[ApiKey, ...]:
        """The keys that work now, oldest first.

        Raises:
            ConfigError: as :meth:`list_keys`.
        """
        now_s = self._clock()
        return tuple(key for key in self.list_keys() if not key.fault_at(now_s))

    def find(self, text: str) -> ApiKey | None:
        """The key whose text this is, whether it still works or not; None for a text that is no key of this file.

        How long it takes tells nothing about how much of the secret was right.

        Raises:
            ConfigError: as :meth:`list_keys`.
        """
        keys = self._load()
        shape = _KEY.fullmatch(text)
        key = keys.get(shape[1]) if shape else None
        is_right = hmac.compare_digest(_digest(text), key.sha256 if key else _NOBODY)
        return key if key is not None and is_right else None

    def _load(self) -> dict[str, ApiKey]:
        """The keys by id; parsed only when the file is another one than last time."""
        try:
            with self.path.open("rb") as stream:
                status = os.fstat(stream.fileno())
                version = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode)
                known, keys = self._read
                if known == version:
                    return keys
                data = stream.read()
        except FileNotFoundError as error:
            raise ConfigError(
                f'there is no key file {self.path}; make a key with "lineament keys create NAME --scope match"'
            ) from error
        except OSError as error:
            raise ConfigError(f"the key file {self.path} cannot be read: {error.strerror}") from error
        if os.name == "posix" and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(
                f"others may change the key file {self.path}; take that from them: chmod go-w FILE"
            )
        keys = self._parse(data)
        self._read = (version, keys)
        return keys

    def _parse(self, data: bytes) -> dict[str, ApiKey]:
        try:
            stored = _ADAPTER.validate_json(data)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ConfigError(
                f"the key file {self.path} is damaged, restore it from a copy: {faults}"
            ) from error
        keys = {key.key_id: key for key in stored.keys}
        if stored.version != 1 or len(keys) != len(stored.keys):
            raise ConfigError(
                f"the key file {self.path} must have version 1 and every id once, got version {stored.version} "
                f"and {len(stored.keys) - len(keys)} ids twice; restore it from a copy"
            )
        return keys

    @contextmanager
    def _changing(self) -> Iterator[dict[str, ApiKey]]:
        """A copy of the keys to change; stored when the block ends without an error."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=_LOCK_S):
                keys = dict(self._load()) if self.path.exists() else {}
                yield keys
                self._store(keys)
        except Timeout as error:
            raise ConfigError(
                f"another process has been changing {self.path} for {_LOCK_S:g} s; try again"
            ) from error
        except OSError as error:
            raise ConfigError(f"the key file {self.path} cannot be written: {error.strerror}") from error

    def _store(self, keys: dict[str, ApiKey]) -> None:
        # OpenCV and the manifests come with it; commands that only read do without
        from lineament.zoo.files import beside

        rows = [
            asdict(key)
            | {
                "scopes": sorted(key.scopes),
                "galleries": None if key.galleries is None else sorted(key.galleries),
            }
            for key in keys.values()
        ]
        part = beside(self.path)
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                json.dump({"version": 1, "keys": rows}, stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(self.path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
