"""Keys: stored as digests, found again, expiring, revoked; token buckets; where a service may listen."""

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from lineament.core.errors import ConfigError
from lineament.service.access import (
    ApiKey,
    KeyFile,
    Scope,
    TokenBuckets,
    allow_origins,
    check_bind,
    check_origins,
)

MATCH = frozenset({Scope.MATCH})


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now_s: float = 1_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> KeyFile:
    return KeyFile(tmp_path / "service.keys", clock=clock)


def test_a_key_is_found_and_its_secret_is_not_stored(keys: KeyFile) -> None:
    text, made = keys.create(
        "door", MATCH, galleries=frozenset({"staff"}), per_minute=30, burst=5, valid_s=60
    )
    assert keys.find(text) == made
    stored = keys.path.read_text()
    assert text.rpartition("_")[2] not in stored
    assert hashlib.sha256(text.encode()).hexdigest() in stored
    assert (made.galleries, made.per_minute, made.burst, made.expires_s) == ({"staff"}, 30, 5, 1_060.0)
    assert KeyFile(keys.path).list_keys() == (made,)


def test_keys_differ_and_carry_256_bits(keys: KeyFile) -> None:
    texts = [keys.create("door", MATCH)[0] for _ in range(3)]
    assert len(set(texts)) == 3
    assert all(len(bytes.fromhex(text.rpartition("_")[2])) == 32 for text in texts)


@given(
    position=st.integers(0, 86),
    character=st.sampled_from("0123456789abcdefghiz_ É\ud800"),
    tail=st.booleans(),
)
def test_no_other_text_is_the_key(position: int, character: str, tail: bool, tmp_path_factory) -> None:
    keys = _ring(tmp_path_factory)
    text = TEXT[0]
    other = text[:position] + character + text[position + 1 :] + ("0" if tail else "")
    assert (keys.find(other) is not None) == (other == text)


TEXT: list[str] = []
RING: list[KeyFile] = []


def _ring(factory: pytest.TempPathFactory) -> KeyFile:
    """One file for all examples."""
    if not RING:
        RING.append(KeyFile(factory.mktemp("keys") / "k"))
        TEXT.append(RING[0].create("door", MATCH)[0])
    return RING[0]


def test_expiry_and_revocation(keys: KeyFile, clock: Clock) -> None:
    text, made = keys.create("door", MATCH, valid_s=60)
    assert made.fault_at(clock.now_s) == ""
    clock.now_s += 60
    assert made.fault_at(clock.now_s) == "has expired"
    assert keys.active() == ()
    revoked = keys.revoke(made.key_id)
    clock.now_s += 60
    assert keys.revoke(made.key_id) == revoked
    assert revoked.revoked_s == 1_060.0
    found = keys.find(text)
    assert found is not None
    assert found.fault_at(0.0) == "was revoked"
    with pytest.raises(ConfigError, match="holds no key 'nobody'"):
        keys.revoke("nobody")


def test_other_processes_see_a_revocation_at_once(keys: KeyFile) -> None:
    text, made = keys.create("door", MATCH)
    serving = KeyFile(keys.path)
    assert serving.active() == (made,)
    keys.revoke(made.key_id)
    assert serving.active() == ()
    assert serving.find(text) is not None


def test_threads_lose_no_key(keys: KeyFile) -> None:
    threads = [threading.Thread(target=keys.create, args=(f"door {i}", MATCH)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in keys.list_keys()} == {f"door {i}" for i in range(12)}


def test_the_file_is_for_its_owner(keys: KeyFile) -> None:
    keys.create("door", MATCH)
    assert keys.path.stat().st_mode & 0o777 == 0o600
    keys.path.chmod(0o620)
    with pytest.raises(ConfigError, match="chmod go-w"):
        keys.list_keys()


def test_a_missing_file_says_what_to_do(keys: KeyFile) -> None:
    with pytest.raises(ConfigError, match="lineament keys create"):
        keys.list_keys()


def row(**changes: object) -> dict[str, object]:
    return {
        "key_id": "0" * 12,
        "name": "door",
        "sha256": "0" * 64,
        "scopes": ["match"],
        "created_s": 1.0,
    } | changes


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "damaged"),
        ("{", "damaged"),
        ("\xff\x00", "damaged"),
        (json.dumps({"version": 1}), "keys: Field required"),
        (json.dumps({"version": 2, "keys": []}), "got version 2"),
        (json.dumps({"version": 1, "keys": [row(), row()]}), "1 ids twice"),
        (json.dumps({"version": 1, "keys": [row(scopes=["all"])]}), "scopes"),
        (json.dumps({"version": 1, "keys": [row(scopes=[])]}), "can do nothing"),
        (json.dumps({"version": 1, "keys": [row(sha256="00")]}), "64 hexadecimal digits"),
        (json.dumps({"version": 1, "keys": [row(per_minute=0)]}), "rate above 0"),
        (json.dumps({"version": 1, "keys": [row(burst=0)]}), "burst of at least 1"),
        (json.dumps({"version": 1, "keys": [row(galleries=[])]}), "no gallery at all"),
        (json.dumps({"version": 1, "keys": [row(owner="x")]}), "owner"),
    ],
)
def test_a_damaged_file_opens_nothing(keys: KeyFile, content: str, said: str) -> None:
    keys.path.write_bytes(content.encode("latin-1"))
    keys.path.chmod(0o600)
    with pytest.raises(ConfigError, match=said):
        keys.find("lineament_" + "0" * 12 + "_" + "0" * 64)


def test_a_failed_write_keeps_the_old_keys(keys: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    _, made = keys.create("door", MATCH)

    def full(_handle: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        keys.create("window", MATCH)
    assert KeyFile(keys.path).list_keys() == (made,)
    assert [p.name for p in keys.path.parent.iterdir() if p.name.startswith(".service.keys.")] in (
        [],
        [".service.keys.lock"],
    )


@pytest.mark.parametrize("name", ["", "  ", "a" * 101, "a\nb"])
def test_names_are_for_people(name: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        ApiKey(key_id="0" * 12, name=name, sha256="0" * 64, scopes=MATCH, created_s=0.0)


@given(
    gaps_s=st.lists(st.floats(0, 5), min_size=1, max_size=60),
    burst=st.integers(1, 5),
    per_second=st.floats(0.1, 5),
)
def test_a_bucket_never_passes_more_than_it_says(gaps_s: list[float], burst: int, per_second: float) -> None:
    clock = Clock(0.0)
    buckets = TokenBuckets(clock)
    passed: list[float] = []
    for gap_s in gaps_s:
        clock.now_s += gap_s
        wait_s = buckets.take("a", per_second=per_second, burst=burst)
        assert wait_s >= 0
        if not wait_s:
            passed.append(clock.now_s)
    for i, begin in enumerate(passed):
        for count, end in enumerate(passed[i:], start=1):
            assert count <= burst + per_second * (end - begin) + 1e-6


@given(per_second=st.floats(0.01, 100), burst=st.integers(1, 20))
def test_whoever_waits_as_told_passes(per_second: float, burst: int) -> None:
    clock = Clock(0.0)
    buckets = TokenBuckets(clock)
    assert [buckets.take("a", per_second=per_second, burst=burst) for _ in range(burst)] == [0.0] * burst
    wait_s = buckets.take("a", per_second=per_second, burst=burst)
    assert 0 < wait_s <= 1 / per_second + 1e-9
    assert buckets.take("b", per_second=per_second, burst=burst) == 0.0
    clock.now_s += wait_s * (1 + 1e-9)
    assert buckets.take("a", per_second=per_second, burst=burst) == 0.0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST", "::ffff:127.0.0.1"]
)
def test_loopback_needs_no_key(host: str) -> None:
    check_bind(host, None)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "192.168.1.4", "10.0.0.1", "::ffff:10.0.0.1", "0", "127.1.evil.invalid"],  # noqa: S104
)
def test_the_public_needs_a_key_that_works(host: str, keys: KeyFile, clock: Clock) -> None:
    with pytest.raises(ConfigError, match="no key works"):
        check_bind(host, None)
    _, made = keys.create("door", MATCH, valid_s=60)
    check_bind(host, keys)
    clock.now_s += 60
    with pytest.raises(ConfigError, match="no key works"):
        check_bind(host, keys)
    _, made = keys.create("door", MATCH)
    check_bind(host, keys)
    keys.revoke(made.key_id)
    with pytest.raises(ConfigError, match="no key works"):
        check_bind(host, keys)


def test_origins() -> None:
    good = ["https://pages.example", "http://localhost:5173", "http://[::1]:80"]
    assert check_origins(good) == set(good)
    wrong = [
        "*",
        "https://*.example",
        "pages.example",
        "https://a.example/",
        "https://A.example",
        "file://x",
        "null",
    ]
    for origin in [*wrong, "https://u@a.example", "https://a:b", ""]:
        with pytest.raises(ConfigError, match="allowed origins"):
            check_origins([good[0], origin])


def test_no_origins_add_nothing() -> None:
    app = FastAPI()
    allow_origins(app, frozenset())
    assert app.user_middleware == []
