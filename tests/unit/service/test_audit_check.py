"""Checking an audit log: nobody changes, removes or moves an entry unseen."""

import csv
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lineament.core.errors import InputError, ServiceError
from lineament.service import audit_check
from lineament.service.audit_check import AuditFault, FaultKind, export_audit, verify_audit, walk
from lineament.service.audit_entries import HEAD_NAME, Anchor, AuditEvent, Sealer, segments
from lineament.service.audit_log import AuditLog

KEY = bytes(range(32))
COUNT = 9
ONE_LOG = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
"""The log is put back as it was after each example."""


def written(folder: Path, mac_key: bytes | None) -> AuditLog:
    """A log of nine entries in three files, one second apart."""
    seconds = iter(range(1_000, 2_000))
    log = AuditLog(folder, mac_key=mac_key, segment_bytes=700, clock=lambda: float(next(seconds)))
    for number in range(COUNT):
        log.append(
            AuditEvent(
                action="identify",
                outcome="match",
                request_id=f"r{number}",
                similarity=0.5,
                result_ids=("ada", "=1+1"),
            )
        )
    assert len(segments(folder)) == 3
    return log


@pytest.fixture(params=[None, KEY], ids=["sha256", "hmac"])
def mac_key(request: pytest.FixtureRequest) -> bytes | None:
    return request.param


@pytest.fixture
def folder(tmp_path: Path, mac_key: bytes | None) -> Path:
    return written(tmp_path / "log", mac_key).folder


def faults(folder: Path, mac_key: bytes | None, anchor: Anchor | None = None) -> list[tuple[FaultKind, int]]:
    return [(f.kind, f.number) for f in verify_audit(folder, mac_key=mac_key, anchor=anchor).faults]


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (*segments(folder), folder / HEAD_NAME)}


def rewritten(folder: Path, change: object) -> None:
    """Pass all lines through ``change`` and store them over the same files, as many in each as there were."""
    files = segments(folder)
    parts = [file.read_bytes().splitlines(keepends=True) for file in files]
    lines = change([line for part in parts for line in part])  # type: ignore[operator]
    start = 0
    for file, part in zip(files, parts, strict=True):
        end = None if file == files[-1] else start + len(part)
        file.write_bytes(b"".join(lines[start:end]))
        start += len(part)


def test_a_whole_log(folder: Path, mac_key: bytes | None) -> None:
    verdict = verify_audit(folder, mac_key=mac_key)
    assert (verdict.entries, verdict.faults, verdict.fault_count) == (COUNT, (), 0)
    assert verdict.last.number == COUNT
    assert faults(folder, mac_key, verdict.last) == []


@ONE_LOG
@given(data=st.data())
def test_every_change_of_a_byte_is_found(folder: Path, mac_key: bytes | None, data: st.DataObject) -> None:
    before = everything(folder)
    path = data.draw(st.sampled_from(sorted(before)))
    position = data.draw(st.integers(0, len(before[path]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != before[path][position]))
    path.write_bytes(before[path][:position] + bytes([byte]) + before[path][position + 1 :])
    found = verify_audit(folder, mac_key=mac_key).faults
    path.write_bytes(before[path])
    assert found
    if path.name == HEAD_NAME:
        assert {f.kind for f in found} == {FaultKind.HEAD}
        return
    line = before[path][:position].count(b"\n") + 1
    assert any(f"{path.name} line {line}" in f.detail for f in found), found
    if byte != 10 and before[path][position] != 10:
        number = int(path.stem.removeprefix("audit-")) + line - 1
        assert [(f.kind, f.number) for f in found] == [(FaultKind.CHANGED, number)]


@pytest.mark.slow
def test_every_byte_of_a_small_log(tmp_path: Path) -> None:
    """All positions, each with three other bytes; properties above draw only some."""
    log = AuditLog(tmp_path / "log")
    for number in range(2):
        log.append(AuditEvent(action="verify", outcome="match", request_id=str(number)))
    before = everything(log.folder)
    for path, content in before.items():
        for position, byte in enumerate(content):
            for other in {byte ^ 1, 10, 32} - {byte}:
                path.write_bytes(content[:position] + bytes([other]) + content[position + 1 :])
                assert verify_audit(log.folder).fault_count, (path.name, position, other)
        path.write_bytes(content)


@ONE_LOG
@given(first=st.integers(1, COUNT), count=st.integers(1, COUNT))
def test_removed_entries_are_named(folder: Path, mac_key: bytes | None, first: int, count: int) -> None:
    before = everything(folder)
    last = min(first + count - 1, COUNT)
    rewritten(folder, lambda lines: lines[: first - 1] + lines[last:])
    found = faults(folder, mac_key)
    for path, content in before.items():
        path.write_bytes(content)
    assert found == [(FaultKind.MISSING, first)]


@ONE_LOG
@given(order=st.permutations(range(COUNT)))
def test_reordered_entries_are_found(folder: Path, mac_key: bytes | None, order: list[int]) -> None:
    before = everything(folder)
    rewritten(folder, lambda lines: [lines[i] for i in order])
    found = faults(folder, mac_key)
    for path, content in before.items():
        path.write_bytes(content)
    overtaken = {i + 1 for at, i in enumerate(order) if any(j > i for j in order[:at])}
    assert {number for kind, number in found if kind is FaultKind.MISPLACED} == overtaken
    assert bool(found) == (list(order) != list(range(COUNT)))


@ONE_LOG
@given(source=st.integers(0, COUNT - 1), target=st.integers(0, COUNT))
def test_repeated_entries_are_found(folder: Path, mac_key: bytes | None, source: int, target: int) -> None:
    before = everything(folder)
    rewritten(folder, lambda lines: [*lines[:target], lines[source], *lines[target:]])
    found = faults(folder, mac_key)
    for path, content in before.items():
        path.write_bytes(content)
    assert any(kind is FaultKind.MISPLACED for kind, _ in found)


def test_inserted_and_glued_lines_are_found(folder: Path, mac_key: bytes | None) -> None:
    rewritten(folder, lambda lines: [*lines[:4], b"{}\n", *lines[4:]])
    assert faults(folder, mac_key) == [(FaultKind.CHANGED, 5), (FaultKind.MISPLACED, 5)]
    rewritten(folder, lambda lines: [*lines[:4], *lines[5:]])
    assert faults(folder, mac_key) == []
    rewritten(folder, lambda lines: [*lines[:4], lines[4][:-1] + b" ", *lines[5:]])
    assert faults(folder, mac_key) == [(FaultKind.CHANGED, 5), (FaultKind.MISSING, 6)]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_removed_files_are_found(folder: Path, mac_key: bytes | None, at: int) -> None:
    files = segments(folder)
    first = int(files[at].stem.removeprefix("audit-"))
    files[at].unlink()
    assert faults(folder, mac_key) == [(FaultKind.MISSING, first)]


def test_a_removed_head_is_found(folder: Path, mac_key: bytes | None) -> None:
    (folder / HEAD_NAME).unlink()
    assert faults(folder, mac_key) == [(FaultKind.HEAD, COUNT)]


def test_the_head_of_a_cut_log_cannot_be_made_without_the_key(folder: Path, mac_key: bytes | None) -> None:
    anchor = verify_audit(folder, mac_key=mac_key).last
    rewritten(folder, lambda lines: lines[:-2])
    cut = [e for e in walk(folder, mac_key=mac_key) if not isinstance(e, AuditFault)][-1]
    (folder / HEAD_NAME).write_bytes(Sealer().head(Anchor(cut.number, cut.seal)))
    assert faults(folder, mac_key) == ([] if mac_key is None else [(FaultKind.HEAD, COUNT - 2)])
    assert (FaultKind.MISSING, COUNT - 1) in faults(folder, mac_key, anchor)


def test_a_log_set_back_as_a_whole_is_found_by_an_anchor(folder: Path, mac_key: bytes | None) -> None:
    old = folder.with_name("old")
    shutil.copytree(folder, old)
    anchor = Anchor(*_appended(folder, mac_key))
    assert faults(folder, mac_key, anchor) == []
    assert faults(old, mac_key) == []
    assert faults(old, mac_key, anchor) == [(FaultKind.MISSING, COUNT + 1)]


def _appended(folder: Path, mac_key: bytes | None) -> tuple[int, str]:
    log = AuditLog(folder, mac_key=mac_key)
    log.append(AuditEvent(action="verify", outcome="match"))
    return log.head.number, log.head.seal


def test_a_log_written_anew_is_found_by_an_anchor(tmp_path: Path) -> None:
    anchor = verify_audit(written(tmp_path / "log", None).folder).last
    other = AuditLog(tmp_path / "other")
    for _ in range(COUNT + 3):
        other.append(AuditEvent(action="verify", outcome="match"))
    assert faults(other.folder, None) == []
    assert faults(other.folder, None, anchor) == [(FaultKind.CHANGED, COUNT)]


def test_an_entry_sealed_anew_breaks_the_chain(tmp_path: Path) -> None:
    """Without a key, somebody may seal an entry of his own; the next one was not written behind it."""
    folder = written(tmp_path / "log", None).folder
    entry = [e for e in walk(folder) if not isinstance(e, AuditFault)][4]
    forged, _ = Sealer().line(5, entry.at, AuditEvent(action="verify", outcome="no_match"), entry.previous)
    rewritten(folder, lambda lines: [*lines[:4], forged, *lines[5:]])
    assert faults(folder, None) == [(FaultKind.CHANGED, 5)]
    rewritten(folder, lambda lines: [*lines[:8], Sealer().line(9, entry.at, entry.event, "0" * 64)[0]])
    assert (FaultKind.CHANGED, 9) in faults(folder, None)


def test_key_and_log_must_fit(tmp_path: Path) -> None:
    plain, keyed = written(tmp_path / "plain", None).folder, written(tmp_path / "keyed", KEY).folder
    with pytest.raises(ServiceError, match="with a key; give it with --key-file"):
        verify_audit(keyed)
    with pytest.raises(ServiceError, match="without a key"):
        verify_audit(plain, mac_key=KEY)
    verdict = verify_audit(keyed, mac_key=bytes(32))
    assert (verdict.entries, verdict.fault_count) == (0, COUNT + 1)


def test_what_is_no_log(tmp_path: Path) -> None:
    for place, said in ((tmp_path / "none", "no folder"), (tmp_path, "holds no audit log")):
        with pytest.raises(ServiceError, match=said):
            verify_audit(place)


def test_an_unfinished_entry_is_told_from_a_removed_one(folder: Path, mac_key: bytes | None) -> None:
    with segments(folder)[-1].open("ab") as stream:
        stream.write(b'{"number":10')
    assert faults(folder, mac_key) == [(FaultKind.UNFINISHED, COUNT + 1)]
    file = segments(folder)[-1]
    file.write_bytes(file.read_bytes().rpartition(b"\n")[0])
    assert faults(folder, mac_key) == [(FaultKind.UNFINISHED, COUNT), (FaultKind.MISSING, COUNT)]


def test_faults_beyond_the_limit_are_counted(
    folder: Path, mac_key: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_check, "MAX_FAULTS", 2)
    rewritten(folder, lambda lines: [lines[0]] + [b"\n"] * 8)
    verdict = verify_audit(folder, mac_key=mac_key)
    assert (verdict.entries, len(verdict.faults), verdict.fault_count) == (1, 2, 8)


def test_a_line_without_end_takes_no_memory(
    folder: Path, mac_key: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_check, "MAX_LINE_BYTES", 4096)
    with segments(folder)[-1].open("ab") as stream:
        stream.write(b"x" * 10_000)
    kinds = {f.kind for f in verify_audit(folder, mac_key=mac_key).faults}
    assert kinds == {FaultKind.CHANGED, FaultKind.UNFINISHED}


@pytest.mark.parametrize(
    ("since_s", "until_s", "numbers"),
    [(None, None, range(1, 10)), (1_002, None, range(3, 10)), (1_002, 1_004, (3, 4)), (5_000, None, ())],
)
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_export(
    folder: Path,
    mac_key: bytes | None,
    tmp_path: Path,
    suffix: str,
    since_s: int | None,
    until_s: int | None,
    numbers: range,
) -> None:
    file = tmp_path / f"table{suffix}"
    since, until = (None if s is None else datetime.fromtimestamp(s, UTC) for s in (since_s, until_s))
    verdict = export_audit(folder, file, mac_key=mac_key, since=since, until=until)
    assert (verdict.entries, verdict.fault_count) == (len(numbers), 0)
    if suffix == ".json":
        rows = json.loads(file.read_text())
        assert all(row["result_ids"] == ["ada", "=1+1"] for row in rows)
    else:
        with file.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert all(row["result_ids"] == "ada\n=1+1" for row in rows)
    assert [int(row["number"]) for row in rows] == list(numbers)
    assert all((float(row["similarity"]), row["action"]) == (0.5, "identify") for row in rows)
    assert [p.name for p in tmp_path.iterdir()] == ["log", file.name]


def test_no_text_of_an_exported_table_is_a_formula(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log")
    for text in ("=1+1", "+1", "-1", "@x", "\tx", "plain"):
        log.append(AuditEvent(action="verify", outcome=text, result_ids=(text,), similarity=-0.25))
    export_audit(log.folder, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        assert row["outcome"][0] in "'p"
        assert row["result_ids"][0] in "'p"
        assert row["similarity"] == "-0.25"


def test_export_of_a_damaged_log_gives_what_is_left(
    folder: Path, mac_key: bytes | None, tmp_path: Path
) -> None:
    rewritten(folder, lambda lines: [*lines[:3], b"\n", *lines[4:]])
    verdict = export_audit(folder, tmp_path / "t.json", mac_key=mac_key)
    assert (verdict.entries, verdict.fault_count) == (COUNT - 1, 1)
    assert [row["number"] for row in json.loads((tmp_path / "t.json").read_text())] == [
        1,
        2,
        3,
        5,
        6,
        7,
        8,
        9,
    ]


def test_a_failed_export_leaves_no_file(folder: Path, mac_key: bytes | None, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.csv or \.json"):
        export_audit(folder, tmp_path / "t.xml", mac_key=mac_key)
    with pytest.raises(InputError, match="No such file"):
        export_audit(folder, tmp_path / "none" / "t.csv", mac_key=mac_key)
    (tmp_path / "t.csv").write_text("old")
    with pytest.raises(ServiceError):
        export_audit(tmp_path / "none", tmp_path / "t.csv", mac_key=mac_key)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "t.csv"]
    assert (tmp_path / "t.csv").read_text() == "old"
