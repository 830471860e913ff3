"""Writing the audit log: what was acknowledged stays, whatever happens."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import ConfigError, ServiceError
from lineament.service.audit_check import verify_audit, walk
from lineament.service.audit_entries import HEAD_NAME, Anchor, AuditEntry, AuditEvent, read_mac_key, segments
from lineament.service.audit_log import AuditLog

KEY = bytes(range(32))
SEARCH = AuditEvent(
    action="identify",
    outcome="match",
    request_id="r-1",
    key_id="0123456789ab",
    route="/v1/galleries/{gallery}/identify",
    gallery="staff",
    result_ids=("ada", "Žofie 陈"),
    similarity=0.61,
    threshold=0.42,
    fpir=1e-2,
    record="lfw-view1",
    space="space-a",
    weights=("net@sha256:00",),
)


def numbered(number: int) -> AuditEvent:
    return AuditEvent(action="verify", outcome="match", request_id=f"r-{number}")


def entries(folder: Path, mac_key: bytes | None = None) -> list[AuditEntry]:
    """The entries of a log that must be whole."""
    assert verify_audit(folder, mac_key=mac_key).faults == ()
    return [e for e in walk(folder, mac_key=mac_key) if isinstance(e, AuditEntry)]


@pytest.mark.parametrize("mac_key", [None, KEY])
def test_an_entry_comes_back_as_it_was_written(tmp_path: Path, mac_key: bytes | None) -> None:
    log = AuditLog(tmp_path / "new" / "log", mac_key=mac_key, clock=lambda: 1_767_225_600.25)
    assert log.append(SEARCH) == 1
    assert log.append(numbered(2)) == 2
    first, second = entries(log.folder, mac_key)
    assert (first.number, first.at, first.event) == (1, "2026-01-01T00:00:00.250000+00:00", SEARCH)
    assert (first.previous, second.previous) == ("0" * 64, first.seal)
    assert log.head == Anchor(2, second.seal)
    line = json.loads(segments(log.folder)[0].read_bytes().splitlines()[0])
    assert line["fpir"] == 0.01
    assert "fmr" not in line


def test_only_its_owner_reads_a_log(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log")
    log.append(SEARCH)
    modes = [p.stat().st_mode & 0o077 for p in (*segments(log.folder), log.folder / HEAD_NAME)]
    assert modes == [0, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"similarity": float("nan")},
        {"similarity": np.float32(0.5)},
        {"result_ids": (np.zeros(3),)},
        {"similarity": np.zeros(3)},
        {"weights": ["list"]},
        {"record": b"bytes"},
        {"result_ids": ("a",) * 1001},
        {"route": "a" * 301},
        {"result_ids": ("a" * 301,)},
        {"action": ""},
    ],
)
def test_an_entry_has_no_place_for_vectors(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"must|needs"):
        AuditEvent(**({"action": "verify", "outcome": "match"} | wrong))


def test_the_largest_entry_fits(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log")
    text = "\U0001f600" * 300
    largest = AuditEvent(action=text, outcome=text, result_ids=(text,) * 1000, weights=(text,) * 1000)
    log.append(largest)
    log.append(SEARCH)
    assert [e.event for e in entries(log.folder)] == [largest, SEARCH]
    assert AuditLog(log.folder).append(SEARCH) == 3


def test_files_follow_each_other(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log", segment_bytes=600)
    for number in range(1, 12):
        log.append(numbered(number))
    files = segments(log.folder)
    assert len(files) == 4
    assert files[1].name == "audit-0000000000000004.jsonl"
    assert [e.number for e in entries(log.folder)] == list(range(1, 12))
    assert AuditLog(log.folder, segment_bytes=600).append(numbered(12)) == 12


def test_a_clock_that_goes_back_does_not_matter(tmp_path: Path) -> None:
    times_s = iter([200.0, 100.0, 300.0])
    log = AuditLog(tmp_path / "log", clock=lambda: next(times_s))
    for number in range(3):
        log.append(numbered(number))
    assert [e.at[14:19] for e in entries(log.folder)] == ["03:20", "01:40", "05:00"]


def test_threads_share_a_log_and_its_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(tmp_path / "log")
    log.append(numbered(0))
    synced: list[int] = []
    real = os.fsync

    def slow(handle: int) -> None:
        time.sleep(0.005)
        synced.append(handle)
        real(handle)

    monkeypatch.setattr(os, "fsync", slow)
    numbers: list[int] = []
    threads = [
        threading.Thread(target=lambda: numbers.extend(log.append(numbered(0)) for _ in range(10)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(2, 82))
    assert len(entries(log.folder)) == 81
    assert len(synced) < 80


def _write_many(folder: Path, count: int) -> None:
    log = AuditLog(folder, segment_bytes=4_000)
    for number in range(count):
        log.append(numbered(number))


def test_processes_share_a_log(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    folder = tmp_path / "log"
    workers = [context.Process(target=_write_many, args=(folder, 60)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert [e.number for e in entries(folder)] == list(range(1, 121))


@pytest.mark.parametrize("whole_bytes", [0, 1, 40])
def test_an_unfinished_entry_is_set_aside_and_said(tmp_path: Path, whole_bytes: int) -> None:
    log = AuditLog(tmp_path / "log")
    log.append(numbered(1))
    with segments(log.folder)[0].open("ab") as stream:
        stream.write(b'{"number":2,"at":"2026-01-01T00:00:00.0'[:whole_bytes])
    again = AuditLog(log.folder)
    number = again.append(numbered(2))
    found = [(e.number, e.event.action) for e in entries(log.folder)]
    repair = [(2, "audit.repair")] if whole_bytes else []
    assert found == [(1, "verify"), *repair, (number, "verify")]


def test_an_unfinished_first_entry_of_a_file_is_set_aside(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log", segment_bytes=1)
    log.append(numbered(1))
    (log.folder / "audit-0000000000000002.jsonl").write_bytes(b'{"num')
    assert AuditLog(log.folder, segment_bytes=1).append(numbered(2)) == 3
    assert [e.event.action for e in entries(log.folder)] == ["verify", "audit.repair", "verify"]


def test_a_head_that_a_power_cut_set_back_is_no_fault(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log")
    log.append(numbered(1))
    old = (log.folder / HEAD_NAME).read_bytes()
    log.append(numbered(2))
    (log.folder / HEAD_NAME).write_bytes(old)
    assert verify_audit(log.folder).faults == ()
    assert AuditLog(log.folder).append(numbered(3)) == 3


@pytest.mark.parametrize("fails", ["fsync", "write", "head"])
def test_a_full_disk_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    log = AuditLog(tmp_path / "log")
    log.append(numbered(1))
    before = segments(log.folder)[0].read_bytes()

    def full(*_args: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        if fails == "fsync":
            patch.setattr(os, "fsync", full)
        elif fails == "head":
            patch.setattr(log, "_move_head", full)
        else:
            limit = len(before) + 50  # the kernel writes the 50 bytes that fit, then refuses
            done = _append_under_limit(log.folder, limit)
            assert "cannot be written" in done, done
        if fails != "write":
            with pytest.raises(ServiceError, match="No space left"):
                log.append(numbered(2))
    assert segments(log.folder)[0].read_bytes() == before
    assert log.append(numbered(3)) == 2
    assert [e.event.request_id for e in entries(log.folder)] == ["r-1", "r-3"]


def _append_under_limit(folder: Path, limit: int) -> str:
    """What a process says that may write files of ``limit`` bytes only."""
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from lineament.service.audit_log import AuditLog\n"
        "from lineament.service.audit_entries import AuditEvent\n"
        "log = AuditLog(Path(sys.argv[1]))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))\n"
        "log.append(AuditEvent(action='verify', outcome='match'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(limit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    return done.stderr


def test_everybody_who_waited_hears_of_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(tmp_path / "log")

    def full(_handle: int) -> None:
        time.sleep(0.01)
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    failures: list[str] = []

    def write() -> None:
        try:
            log.append(SEARCH)
        except ServiceError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 6
    monkeypatch.undo()
    assert entries(log.folder) == []


def test_a_log_that_lost_entries_does_not_go_on(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log")
    for number in range(3):
        log.append(numbered(number))
    file = segments(log.folder)[0]
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:2]))
    for writer in (lambda: AuditLog(log.folder), lambda: log.append(SEARCH)):
        with pytest.raises(ServiceError, match="must go on to entry 3, but ends with entry 2"):
            writer()
    file.write_bytes(b"".join(lines)[:-1])
    with pytest.raises(ServiceError, match="must go on to entry 3"):
        AuditLog(log.folder)
    file.write_bytes(b"".join(lines).replace(b"r-2", b"r-9"))
    with pytest.raises(ServiceError, match="last entry was changed"):
        AuditLog(log.folder)
    file.unlink()
    with pytest.raises(ServiceError, match="ends with entry 0"):
        AuditLog(log.folder)


def test_a_log_keeps_its_key_and_its_head(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log", mac_key=KEY)
    log.append(SEARCH)
    for other in (None, bytes(32)):
        with pytest.raises(ServiceError, match="another key"):
            AuditLog(log.folder, mac_key=other)
    (log.folder / HEAD_NAME).unlink()
    with pytest.raises(ServiceError, match=r"audit\.head is missing"):
        AuditLog(log.folder, mac_key=KEY)
    with pytest.raises(ValueError, match="at least 32 bytes, got 5"):
        AuditLog(tmp_path / "other", mac_key=b"short")


def test_key_files(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("ab" * 32 + "\n")
    assert read_mac_key(path) == b"ab" * 32
    path.write_text("short\n")
    with pytest.raises(ConfigError, match="at least 32 bytes, got 5"):
        read_mac_key(path)
    with pytest.raises(ConfigError, match="No such file"):
        read_mac_key(tmp_path / "none")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="cannot be written"):
        AuditLog(tmp_path / "file" / "log")


def killed(folder: Path, after: int) -> int:
    """Entries that a process acknowledged before it was killed."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lineament.service.audit_log import AuditLog\n"
        "from lineament.service.audit_entries import AuditEvent\n"
        "log = AuditLog(Path(sys.argv[1]), segment_bytes=3000)\n"
        "while True: print(log.append(AuditEvent(action='verify', outcome='match')), flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        said = [int(run.stdout.readline()) for _ in range(after)]
        run.send_signal(signal.SIGKILL)
        said += [int(line) for line in run.stdout.read().splitlines() if line]
    return said[-1]


@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, rounds: int) -> None:
    folder = tmp_path / "log"
    for number in range(rounds):
        acknowledged = killed(folder, 5 + 7 * number % 11)
        AuditLog(folder, segment_bytes=3000).append(SEARCH)
        found = entries(folder)
        assert len(found) > acknowledged
        assert [e.number for e in found] == list(range(1, len(found) + 1))
