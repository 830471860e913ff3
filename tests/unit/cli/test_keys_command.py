"""``lineament keys`` and ``lineament audit``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lineament.cli import audit, keys
from lineament.core.errors import ConfigError, InputError, RuntimeUnavailable, ServiceError
from lineament.service.access import KeyFile, Scope
from lineament.service.audit_entries import AuditEvent, segments
from lineament.service.audit_log import AuditLog

SECRET = "ab" * 32


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The key file that the environment names; it is not there yet."""
    monkeypatch.setenv("LINEAMENT_KEYS", str(tmp_path / "service.keys"))
    return tmp_path / "service.keys"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log that the environment names, sealed with a key."""
    (tmp_path / "audit.key").write_text(f"{SECRET}\n")
    monkeypatch.setenv("LINEAMENT_AUDIT", str(tmp_path / "log"))
    monkeypatch.setenv("LINEAMENT_AUDIT_KEY_FILE", str(tmp_path / "audit.key"))
    writer = AuditLog(tmp_path / "log", mac_key=SECRET.encode(), clock=lambda: 1_772_323_200.0)
    for number in range(3):
        writer.append(AuditEvent(action="verify", outcome="match", request_id=f"r-{number}"))
    return writer.folder


def keys_run(*words: str) -> Result:
    return CliRunner().invoke(keys.app, list(words))


def audit_run(*words: str) -> Result:
    return CliRunner().invoke(audit.app, list(words))


def test_a_key_is_printed_once_and_works(path: Path) -> None:
    done = keys_run("create", "front door", "--scope", "match", "--scope", "read", "--gallery", "staff")
    assert done.exit_code == 0, done.output
    found = KeyFile(path).find(done.stdout.strip())
    assert found is not None
    assert (found.name, found.scopes, found.galleries) == (
        "front door",
        {Scope.MATCH, Scope.READ},
        {"staff"},
    )
    assert found.expires_s is not None
    assert found.expires_s - found.created_s == 365 * 86_400
    assert "cannot be shown again" in done.stderr
    listed = keys_run("list").stdout
    assert found.key_id in listed
    assert done.stdout.strip() not in listed


def test_keys_as_json(path: Path) -> None:
    made = json.loads(
        keys_run("create", "office", "--scope", "admin", "--days", "0", "--burst", "3", "--json").stdout
    )
    assert KeyFile(path).find(made.pop("key")) is not None
    assert (made["expires"], made["galleries"], made["burst"], made["scopes"]) == (None, None, 3, ["admin"])
    assert json.loads(keys_run("list", "--json").stdout) == {"file": str(path), "keys": [made]}
    revoked = json.loads(keys_run("revoke", made["id"], "--json").stdout)
    assert revoked["revoked"] is not None
    assert "was revoked" in keys_run("revoke", made["id"]).stdout
    assert KeyFile(path).active() == ()


@pytest.mark.parametrize(
    "words",
    [
        ("create", "door"),
        ("create", "door", "--scope", "everything"),
        ("create", " ", "--scope", "match"),
        ("create", "door", "--scope", "match", "--burst", "0"),
        ("create", "door", "--scope", "match", "--days", "-1"),
        ("create", "door", "--scope", "match", "--per-minute", "nan"),
    ],
)
def test_wrong_use_makes_no_key(path: Path, words: tuple[str, ...]) -> None:
    assert keys_run(*words).exit_code == 2
    assert not path.exists()


@pytest.mark.usefixtures("path")
def test_a_key_file_that_is_not_there() -> None:
    for words in (("list",), ("revoke", "0" * 12)):
        done = keys_run(*words)
        assert isinstance(done.exception, ConfigError)


@pytest.mark.usefixtures("path")
def test_the_service_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    for done in (keys_run("list"), audit_run("verify")):
        assert isinstance(done.exception, RuntimeUnavailable)
        assert "lineament[serve]" in str(done.exception)


def test_verify_gives_an_anchor_that_holds(log: Path) -> None:
    done = audit_run("verify")
    assert (done.exit_code, "is whole: 3 entries" in done.stdout) == (0, True)
    anchor = done.stdout.split()[-1]
    assert audit_run("verify", "--anchor", anchor).exit_code == 0
    document = json.loads(audit_run("verify", "--json", "--log", str(log)).stdout)
    assert document == {"log": str(log), "fault_count": 0, "faults": [], "entries": 3, "anchor": anchor}
    later = audit_run("verify", "--anchor", f"4:{'0' * 64}")
    assert later.exit_code == 4
    assert "the anchor names entry 4" in later.stderr
    for wrong in ("4", "x:y", f"-1:{'0' * 64}"):
        assert audit_run("verify", "--anchor", wrong).exit_code == 2


def test_verify_names_the_changed_entry(log: Path) -> None:
    file = segments(log)[0]
    file.write_bytes(file.read_bytes().replace(b"r-1", b"r-7"))
    done = audit_run("verify")
    assert (done.exit_code, done.stdout) == (4, "")
    assert f"{log}: entry 2, {file.name} line 2, was changed" in done.stderr
    document = json.loads(audit_run("verify", "--json").stdout)
    assert [(f["kind"], f["number"]) for f in document["faults"]] == [("changed", 2)]


def test_many_faults_do_not_fill_the_screen(log: Path) -> None:
    segments(log)[0].write_bytes(b"\n" * 100)
    done = audit_run("verify")
    assert done.stderr.count("\n") == 21
    assert "and 80 more faults" in done.stderr


@pytest.mark.usefixtures("log")
def test_verify_wants_the_right_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "short").write_text("short")
    assert isinstance(audit_run("verify", "--key-file", str(tmp_path / "short")).exception, ConfigError)
    monkeypatch.delenv("LINEAMENT_AUDIT_KEY_FILE")
    assert isinstance(audit_run("verify").exception, ServiceError)


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("words", "count"),
    [
        ((), 3),
        (("--since", "2026-03-01"), 3),
        (("--until", "2026-03-01"), 0),
        (("--since", "2026-03-01T01:00+01:00"), 3),
        (("--since", "2026-03-01T00:00:01"), 0),
    ],
)
def test_export_of_a_time_range(tmp_path: Path, words: tuple[str, ...], count: int) -> None:
    file = tmp_path / "out.json"
    done = audit_run("export", str(file), *words)
    assert (done.exit_code, done.stdout) == (0, f"wrote {count} entries to {file}\n")
    assert len(json.loads(file.read_text())) == count


def test_export_of_a_damaged_log_warns(log: Path, tmp_path: Path) -> None:
    file = segments(log)[0]
    file.write_bytes(file.read_bytes().replace(b"r-1", b"r-7"))
    done = audit_run("export", str(tmp_path / "out.csv"), "--json")
    assert done.exit_code == 4
    assert json.loads(done.stdout)["entries"] == 2
    assert "was changed" in done.stderr


@pytest.mark.usefixtures("log")
def test_wrong_use_of_export_writes_nothing(tmp_path: Path) -> None:
    assert audit_run("export", str(tmp_path / "out.xml")).exit_code == 2
    assert audit_run("export", str(tmp_path / "out.csv"), "--since", "yesterday").exit_code == 2
    assert isinstance(audit_run("export", str(tmp_path / "no" / "out.csv")).exception, InputError)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audit.key", "log"]


def test_reading_loads_neither_the_web_framework_nor_networks(path: Path, log: Path) -> None:
    KeyFile(path).create("one", frozenset({Scope.READ}))
    for words in (["keys", "list"], ["audit", "verify", "--log", str(log)]):
        code = (
            f"import sys; from lineament.cli.app import run; code = run({words!r}); "
            "print([m for m in ('fastapi', 'cv2', 'onnxruntime') if m in sys.modules], code)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[] 0", done.stderr
