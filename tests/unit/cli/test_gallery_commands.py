"""``lineament gallery`` and ``lineament people`` on keys, copies, receipts, retention, review: they need no model."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from lineament.cli.app import run
from lineament.core.types import Embedding
from lineament.gallery import Gallery, NewSample, ReviewRules, read_key

SPACE = "space-a"
Output = pytest.CaptureFixture[str]


def vector(seed: int) -> Embedding:
    drawn = np.random.default_rng(seed).standard_normal(32).astype(np.float32)
    return Embedding(drawn / np.linalg.norm(drawn), SPACE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder with the gallery "g" of Ada (a1, a2) and Bob (b1)."""
    for name in ("LINEAMENT_GALLERY_KEY", "LINEAMENT_GALLERY_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LINEAMENT_GALLERY", "g")
    monkeypatch.chdir(tmp_path)
    with Gallery.open("g", space=SPACE, create=True) as gallery:
        for seed, (who, sample) in enumerate([("ada", "a1"), ("ada", "a2"), ("bob", "b1")]):
            gallery.enroll(who, vector(seed), sample_id=sample)
    return tmp_path


def done(capsys: Output, code: int, *words: str) -> dict:
    assert run([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def said(capsys: Output, code: int, *words: str) -> str:
    assert run(list(words)) == code
    out, err = capsys.readouterr()
    return out + err


def samples() -> list[str]:
    with Gallery.open("g", space=SPACE) as gallery:
        return sorted(s.sample_id for p in gallery.subjects() for s in gallery.subject(p.subject_id))


@pytest.mark.usefixtures("folder")
def test_a_gallery_is_encrypted_and_gets_another_key(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no key given" in said(capsys, 2, "gallery", "encrypt")
    assert "wrote a new key" in said(capsys, 0, "gallery", "new-key", "one.key")
    assert "could not be made" in said(capsys, 6, "gallery", "new-key", "one.key")
    assert "encrypted now" in said(capsys, 0, "gallery", "encrypt", "--key-file", "one.key")
    assert vector(0).vector.tobytes() not in Path("g").read_bytes()
    assert b"ada" not in Path("g").read_bytes()
    assert "is encrypted; give its key" in said(capsys, 6, "people", "list")
    monkeypatch.setenv("LINEAMENT_GALLERY_KEY_FILE", "one.key")
    assert done(capsys, 0, "gallery", "info")["encrypted"] is True
    assert samples() == ["a1", "a2", "b1"]
    assert run(["gallery", "new-key", "two.key"]) == 0
    capsys.readouterr()
    assert done(capsys, 0, "gallery", "rotate-key", "two.key", "--reencrypt")["reencrypted"] is True
    assert "does not open this gallery" in said(capsys, 6, "gallery", "info")
    with Gallery.open("g", space=SPACE, key=read_key("two.key")) as gallery:
        assert gallery.check() == []


@pytest.mark.usefixtures("folder")
def test_a_removal_can_be_verified(capsys: Output) -> None:
    assert run(["gallery", "backup", "b"]) == 0
    removal = said(capsys, 0, "people", "remove", "ada", "--yes", "--receipt", "ada.json")
    assert "1 known copy may still hold what was removed" in removal
    assert "the backup" in said(capsys, 6, "gallery", "verify-receipt", "ada.json")
    assert "still there; destroy it first" in said(capsys, 6, "gallery", "copies", "--forget", "b")
    Path("b").unlink()
    found = done(capsys, 6, "gallery", "verify-receipt", "ada.json")
    assert (found["signed"], found["gone"], len(found["missing"])) == (True, False, 1)
    assert [c["found"] for c in done(capsys, 0, "gallery", "copies")["copies"]] == [False]
    assert done(capsys, 0, "gallery", "copies", "--forget", "b")["copies"] == []
    receipt = json.loads(Path("ada.json").read_text())
    Path("ada.json").write_text(json.dumps(receipt | {"copies": []}))
    assert "not genuine" in said(capsys, 6, "gallery", "verify-receipt", "ada.json")


@pytest.mark.usefixtures("folder")
def test_a_receipt_of_a_removal_without_copies(capsys: Output) -> None:
    Path("mine").write_text("old")
    assert "choose another name" in said(capsys, 2, "people", "remove", "ada", "-y", "--receipt", "mine")
    assert samples() == ["a1", "a2", "b1"]
    assert run(["people", "remove", "ada", "--yes", "--receipt", "ada.json"]) == 0
    assert "2 samples of ada: gone since" in said(capsys, 0, "gallery", "verify-receipt", "ada.json")
    Path("ada.json").write_text("[]")
    assert "no removal receipt" in said(capsys, 4, "gallery", "verify-receipt", "ada.json")
    assert "cannot be read" in said(capsys, 4, "gallery", "verify-receipt", "nothing.json")


@pytest.mark.usefixtures("folder")
def test_receipts_that_cannot_be_written_are_not_lost(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("lineament.zoo.files.write_atomic", full)
        assert run(["people", "remove", "ada", "--yes", "--receipt", "ada.json"]) == 4
    out, err = capsys.readouterr()
    assert "removed ada" in out
    assert "No space left" in err
    told = err.partition("this receipt was not written, keep it: ")[2].partition("\nlineament: ")[0]
    Path("ada.json").write_text(told)
    assert "2 samples of ada: gone since" in said(capsys, 0, "gallery", "verify-receipt", "ada.json")


@pytest.mark.usefixtures("folder")
def test_backup_and_restore(capsys: Output) -> None:
    assert done(capsys, 0, "gallery", "backup", "b")["backup"] == str(Path("b").absolute())
    assert "exists; choose another name" in said(capsys, 6, "gallery", "backup", "b")
    assert run(["people", "remove", "bob", "--yes"]) == 0
    assert run(["people", "rename", "ada", "eva"]) == 0
    capsys.readouterr()
    back = done(capsys, 0, "gallery", "restore", "b", "--yes")
    assert (back["samples"], back["removed_again"]) == (2, 1)
    assert samples() == ["a1", "a2"]
    assert "holds 3 samples of b" in said(capsys, 0, "gallery", "restore", "b", "--gallery", "new")
    assert "no gallery at nothing" in said(capsys, 6, "gallery", "restore", "nothing", "--yes")


@pytest.mark.usefixtures("folder")
def test_retention_lists_before_it_removes(capsys: Output) -> None:
    assert "give --max-age-days, --unseen-days or both" in said(capsys, 2, "gallery", "retention")
    assert "0 samples due" in said(capsys, 0, "gallery", "retention", "--max-age-days", "1")
    with Gallery.open("g", space=SPACE) as gallery, gallery._session.transaction(write=True):
        gallery._store.connection.execute("UPDATE samples SET created_s = created_s - 200000")
    assert done(capsys, 0, "people", "seen", "bob", "nobody")["noted"] == 1
    rule = ["gallery", "retention", "--unseen-days", "2"]
    assert [d["sample"] for d in done(capsys, 0, *rule)["due"]] == ["a1", "a2"]
    assert re.search(r"ada +a1 .* never noted", said(capsys, 0, *rule))
    assert samples() == ["a1", "a2", "b1"]
    assert "is no folder" in said(capsys, 4, *rule, "--apply", "--receipts", "kept")
    Path("kept").mkdir()
    assert "removed 2 samples of 1 person" in said(capsys, 0, *rule, "--apply", "--receipts", "kept")
    assert samples() == ["b1"]
    (receipt,) = Path("kept").iterdir()
    assert "gone since" in said(capsys, 0, "gallery", "verify-receipt", str(receipt))
    assert done(capsys, 0, *rule, "--apply")["samples_removed"] == 0


@pytest.mark.usefixtures("folder")
def test_decisions_about_samples(capsys: Output) -> None:
    with Gallery.open("g", space=SPACE) as gallery:
        gallery.review.offer(NewSample("bob", vector(5), "b2", quality=0.1), ReviewRules(min_quality=0.5))
    (waits,) = done(capsys, 0, "gallery", "review", "list")["pending"]
    assert (waits["sample"], waits["findings"][0]["kind"]) == ("b2", "low_quality")
    assert "low quality (0.1000, limit 0.5000)" in said(capsys, 0, "gallery", "review", "list")
    assert done(capsys, 0, "gallery", "review", "approve", "b2", "--by", "eva")["state"] == "active"
    assert "is active, expected pending" in said(capsys, 6, "gallery", "review", "approve", "b2")
    assert "is quarantined now" in said(capsys, 0, "gallery", "review", "quarantine", "b2", "--note", "who?")
    assert [s["sample"] for s in done(capsys, 0, "gallery", "review", "list")["quarantined"]] == ["b2"]
    assert re.search(r"b2 +quarantined", said(capsys, 0, "people", "show", "bob"))
    assert run(["gallery", "review", "release", "b2"]) == 0
    assert run(["gallery", "review", "quarantine", "b2"]) == 0
    assert run(["gallery", "review", "reject", "b2"]) == 0
    capsys.readouterr()
    states = [d["state"] for d in done(capsys, 0, "gallery", "review", "history", "b2")["decisions"]]
    assert states == ["pending", "active", "quarantined", "active", "quarantined", "rejected"]
    assert "who?" in said(capsys, 0, "gallery", "review", "history", "b2")
    assert "nobody decided" in said(capsys, 0, "gallery", "review", "history", "a1")
    assert "nothing in g waits" in said(capsys, 0, "gallery", "review", "list")
    assert "no sample 'b9'" in said(capsys, 6, "gallery", "review", "reject", "b9")


@pytest.mark.usefixtures("folder")
def test_what_is_no_correction(capsys: Output) -> None:
    assert "nothing was said not to be ada" in said(capsys, 0, "people", "corrections", "ada")
    assert "no correction 7" in said(capsys, 6, "people", "withdraw", "7")
    assert "no subject 'eve'" in said(capsys, 6, "people", "corrections", "eve")
