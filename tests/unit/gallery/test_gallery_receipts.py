"""Receipts of removals: their signature, and what a verdict says of gallery and copies."""

import dataclasses
import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.core.errors import InputError
from lineament.gallery import Copy, Gallery, GalleryKey, NewSample, RemovalReceipt

SPACE = "space-a"
SEED = b"s" * 32
TEXT = st.text(min_size=1, max_size=20)
RECEIPTS = st.builds(
    RemovalReceipt,
    gallery_id=TEXT,
    subject_id=TEXT,
    sample_ids=st.lists(TEXT, max_size=3).map(tuple),
    uids=st.lists(TEXT, max_size=3).map(tuple),
    removed_s=st.floats(0, 1e11),
    purged=st.booleans(),
    copies=st.lists(st.builds(Copy, TEXT, TEXT, st.floats(0, 1e11)), max_size=2).map(tuple),
)


@given(RECEIPTS)
def test_a_receipt_survives_its_file(receipt):
    signed = receipt.signed(SEED)
    again = RemovalReceipt.from_json(signed.to_json())
    assert again == signed
    assert again.is_signed_by(signed.public_key)
    assert not again.is_signed_by(receipt.signed(b"t" * 32).public_key)


@given(RECEIPTS, st.data())
def test_any_change_breaks_the_signature(receipt, data):
    signed = receipt.signed(SEED)
    document = json.loads(signed.to_json())
    field = data.draw(
        st.sampled_from(["gallery_id", "subject_id", "sample_ids", "uids", "removed_s", "purged", "copies"])
    )
    value = document[field]
    if isinstance(value, str):
        document[field] = value + "x"
    elif isinstance(value, bool):
        document[field] = not value
    elif isinstance(value, float):
        document[field] = value + 1.0
    else:
        document[field] = [
            *value,
            {"kind": "backup", "path": "p", "made_s": 0.0} if field == "copies" else "x",
        ]
    changed = RemovalReceipt.from_json(json.dumps(document))
    assert not changed.is_signed_by(signed.public_key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        "not json",
        '{"format": "lineament-removal-receipt", "version": 1}',
        "[" * 100_000,
    ],
)
def test_what_is_no_receipt(text):
    with pytest.raises(InputError, match="no removal receipt"):
        RemovalReceipt.from_json(text)


def test_a_later_version(gallery, draw):
    gallery.enroll("ada", draw(1)[0])
    document = json.loads(gallery.remove_subject("ada").receipt.to_json()) | {"version": 2}
    with pytest.raises(InputError, match="newer"):
        RemovalReceipt.from_json(json.dumps(document))


def test_what_a_receipt_says(gallery, draw):
    one, two, three = draw(3)
    gallery.enroll_many(
        [NewSample("ada", one, "a1"), NewSample("ada", two, "a2"), NewSample("bob", three, "b1")]
    )
    receipt = gallery.remove_subject("ada").receipt
    assert (receipt.subject_id, receipt.sample_ids, receipt.purged) == ("ada", ("a1", "a2"), True)
    assert receipt.public_key == gallery.info().public_key
    verdict = gallery.copies.verify(receipt)
    assert verdict.signed
    assert verdict.gone
    assert not gallery.copies.verify(dataclasses.replace(receipt, subject_id="bob")).signed
    gallery.enroll("ada", one, sample_id="a1")  # enrolled anew: another sample, the receipt stays true
    assert gallery.copies.verify(receipt).gone
    assert gallery.remove_sample("b1").receipt.subject_id == "bob"


def test_the_file_keeps_no_name_of_the_removed(path, draw):
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        gallery.enroll("ada lovelace", draw(1)[0], sample_id="summer picture")
        gallery.remove_subject("ada lovelace")
    data = path.read_bytes()
    assert b"lovelace" not in data
    assert b"summer" not in data


def test_copies_that_hold_what_was_removed(gallery, draw, tmp_path):
    one, two = draw(2)
    backup, export, lost = tmp_path / "b.gallery", tmp_path / "e.zip", tmp_path / "lost"
    gallery.enroll_many([NewSample("ada", one, "a"), NewSample("bob", two, "b")])
    gallery.copies.back_up(backup)
    gallery.export(export)
    gallery.copies.back_up(lost)
    receipt = gallery.remove_subject("ada").receipt
    assert [copy.path for copy in receipt.copies] == [str(p) for p in (backup, export, lost)]
    lost.unlink()
    gallery.copies.back_up(tmp_path / "later")
    verdict = gallery.copies.verify(receipt)
    assert [copy.path for copy in verdict.held_by] == [str(backup), str(export)]
    assert [copy.path for copy in verdict.missing] == [str(lost)]
    assert verdict.in_gallery == 0
    assert not verdict.gone
    with Gallery.open(backup, space=SPACE) as copy:
        copy.remove_subject("ada")
    export.write_bytes(b"rubbish")
    verdict = gallery.copies.verify(receipt)
    assert (verdict.held_by, [copy.path for copy in verdict.unreadable]) == ((), [str(export)])
    export.unlink()
    for gone in (export, lost):
        gallery.copies.forget(gone)
    assert gallery.copies.verify(dataclasses.replace(receipt, copies=())).held_by == ()


def test_a_sealed_backup_is_searched_without_its_key(path, draw, tmp_path):
    with Gallery.open(path, space=SPACE, create=True, key=GalleryKey(SEED)) as gallery:
        gallery.enroll("ada", draw(1)[0])
        gallery.copies.back_up(tmp_path / "b")
        receipt = gallery.remove_subject("ada").receipt
        assert [copy.path for copy in gallery.copies.verify(receipt).held_by] == [str(tmp_path / "b")]


def test_a_copied_file_put_back_is_noticed(path, draw, tmp_path):
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        gallery.enroll("ada", draw(1)[0])
    shutil.copy(path, tmp_path / "aside")
    with Gallery.open(path, space=SPACE) as gallery:
        receipt = gallery.remove_subject("ada").receipt
    shutil.copy(tmp_path / "aside", path)
    with Gallery.open(path, space=SPACE) as gallery:
        assert gallery.copies.verify(receipt).in_gallery == 1
