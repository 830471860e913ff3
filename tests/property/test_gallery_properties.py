"""Random lives of a gallery with two connections, against a dictionary."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lineament.core.errors import GalleryError, SubjectNotFound
from lineament.core.types import Embedding
from lineament.gallery import (
    Enrolled,
    EnrollmentRefusal,
    Gallery,
    GallerySize,
    Imported,
    NewSample,
    index,
    restore,
)

SPACE = "space"
DIMENSION = 16
_VECTORS = np.random.default_rng(11).standard_normal((48, DIMENSION)).astype(np.float32)
_VECTORS /= np.linalg.norm(_VECTORS, axis=1, keepdims=True)
VECTORS = st.integers(0, 47)
SUBJECTS = st.sampled_from(["ada", "bob", "Zoë", "王", "o'Brien"])
WHICH = st.integers(0, 1)


def conflict_of(held: dict[str, tuple[str, int]], subject: str, number: int, threshold: float) -> bool:
    """Some sample of another subject is at least that similar."""
    return any(s != subject and float(_VECTORS[n] @ _VECTORS[number]) >= threshold for s, n in held.values())


class GalleryLife(RuleBasedStateMachine):
    """``held`` maps each sample id to its subject and the number of its vector, ``quarantined`` those held back."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "g"
        self.galleries = [Gallery.open(self.path, space=SPACE, create=True) for _ in range(2)]
        self.held: dict[str, tuple[str, int]] = {}
        self.quarantined: dict[str, tuple[str, int]] = {}
        self.count = 0

    def teardown(self) -> None:
        for gallery in self.galleries:
            gallery.close()
        shutil.rmtree(self.folder)

    def subjects(self) -> set[str]:
        return {subject for subject, _ in self.held.values()}

    def known(self) -> dict[str, tuple[str, int]]:
        return self.held | self.quarantined

    def known_subjects(self) -> set[str]:
        return {subject for subject, _ in self.known().values()}

    def forget(self, samples: list[str]) -> None:
        for sample in samples:
            self.held.pop(sample, None)
            self.quarantined.pop(sample, None)

    def give(self, old: str, new: str) -> int:
        changed = 0
        for samples in (self.held, self.quarantined):
            for sample, (owner, number) in samples.items():
                if owner == old:
                    samples[sample] = (new, number)
                    changed += 1
        return changed

    @rule(which=WHICH, subject=SUBJECTS, number=VECTORS, threshold=st.sampled_from([None, 0.3, 0.6]))
    def enroll(self, which: int, subject: str, number: int, threshold: float | None) -> None:
        self.count += 1
        sample = f"sample {self.count}"
        result = self.galleries[which].enroll(
            subject, Embedding(_VECTORS[number], SPACE), sample_id=sample, conflict_threshold=threshold
        )
        if number in {n for _, n in self.known().values()}:
            assert isinstance(result, EnrollmentRefusal)
            assert result.kind == "duplicate_sample"
            assert self.known()[result.sample_id] == (result.subject_id, number)
        elif threshold is not None and conflict_of(self.held, subject, number, threshold):
            assert isinstance(result, EnrollmentRefusal)
            assert result.kind == "identity_conflict"
            assert result.similarity >= threshold
            other, near = self.held[result.sample_id]
            assert other == result.subject_id != subject
            assert result.similarity == pytest.approx(float(_VECTORS[near] @ _VECTORS[number]), abs=1e-6)
        else:
            assert result == Enrolled(subject, sample)
            self.held[sample] = (subject, number)

    @rule(which=WHICH, subject=SUBJECTS, numbers=st.lists(VECTORS, min_size=1, max_size=6))
    def enroll_many(self, which: int, subject: str, numbers: list[int]) -> None:
        self.count += len(numbers)
        ids = [f"sample {self.count - i}" for i in range(len(numbers))]
        samples = [
            NewSample(subject, Embedding(_VECTORS[n], SPACE), i) for n, i in zip(numbers, ids, strict=True)
        ]
        result = self.galleries[which].enroll_many(samples)
        there = [n for _, n in self.known().values()]
        if len(set(numbers) | set(there)) < len(numbers) + len(there):
            assert isinstance(result, EnrollmentRefusal)
        else:
            assert result == tuple(Enrolled(subject, i) for i in ids)
            self.held |= {i: (subject, n) for i, n in zip(ids, numbers, strict=True)}

    @rule(which=WHICH, subject=SUBJECTS)
    def remove_subject(self, which: int, subject: str) -> None:
        mine = [sample for sample, (owner, _) in self.known().items() if owner == subject]
        if not mine:
            with pytest.raises(SubjectNotFound):
                self.galleries[which].remove_subject(subject)
            return
        removal = self.galleries[which].remove_subject(subject)
        assert removal.samples == len(mine)
        assert removal.receipt is not None
        assert sorted(removal.receipt.sample_ids) == sorted(mine)
        assert self.galleries[1 - which].copies.verify(removal.receipt).in_gallery == 0
        self.forget(mine)

    @precondition(lambda self: self.known())
    @rule(which=WHICH, data=st.data())
    def remove_sample(self, which: int, data: st.DataObject) -> None:
        sample = data.draw(st.sampled_from(sorted(self.known())))
        self.galleries[which].remove_sample(sample)
        self.forget([sample])

    @rule(which=WHICH, into=SUBJECTS, source=SUBJECTS)
    def merge(self, which: int, into: str, source: str) -> None:
        if into == source or not {into, source} <= self.known_subjects():
            with pytest.raises(GalleryError):
                self.galleries[which].merge(into, source)
            return
        assert self.galleries[which].merge(into, source) == self.give(source, into)

    @rule(which=WHICH, old=SUBJECTS, new=SUBJECTS)
    def rename(self, which: int, old: str, new: str) -> None:
        if old not in self.known_subjects() or new in self.known_subjects():
            with pytest.raises(GalleryError):
                self.galleries[which].rename(old, new)
            return
        self.galleries[which].rename(old, new)
        self.give(old, new)

    @precondition(lambda self: self.held)
    @rule(which=WHICH, data=st.data())
    def quarantine(self, which: int, data: st.DataObject) -> None:
        sample = data.draw(st.sampled_from(sorted(self.held)))
        self.galleries[which].review.quarantine(sample)
        self.quarantined[sample] = self.held.pop(sample)

    @precondition(lambda self: self.quarantined)
    @rule(which=WHICH, data=st.data())
    def release(self, which: int, data: st.DataObject) -> None:
        sample = data.draw(st.sampled_from(sorted(self.quarantined)))
        self.galleries[which].review.release(sample)
        self.held[sample] = self.quarantined.pop(sample)

    @rule(which=WHICH)
    def reopen(self, which: int) -> None:
        self.galleries[which].close()
        self.galleries[which] = Gallery.open(self.path, space=SPACE)

    @precondition(lambda self: self.count % 4 == 3)  # it waits for the disk often
    @rule(which=WHICH)
    def back_up_and_restore(self, which: int) -> None:
        self.count += 1
        backup = self.folder / f"{self.count}.backup"
        self.galleries[which].copies.back_up(backup)
        backup_of = dict(self.held)
        gone = sorted(self.held)[:1]
        for sample in gone:
            self.galleries[which].remove_sample(sample)
        self.forget(gone)
        restored = restore(backup, self.path)
        assert (restored.samples, restored.removed_again) == (len(backup_of) - len(gone), len(gone))
        for number in range(2):
            self.reopen(number)

    @rule(which=WHICH)
    def export_and_import(self, which: int) -> None:
        self.count += 1
        file, copy = self.folder / f"{self.count}.zip", self.folder / f"{self.count}"
        self.galleries[which].export(file)
        with Gallery.open(copy, space=SPACE, create=True) as gallery:
            assert gallery.import_(file) == Imported(len(self.subjects()), len(self.held))
            assert gallery.subjects() == self.galleries[which].subjects()
            assert gallery.search(_VECTORS, exact=True) == self.galleries[which].search(_VECTORS, exact=True)

    @rule(which=WHICH, number=VECTORS, want=st.integers(1, 6), exact=st.booleans())
    def search(self, which: int, number: int, want: int, exact: bool) -> None:
        (found,) = self.galleries[which].search(_VECTORS[number][None], max_candidates=want, exact=exact)
        best: dict[str, float] = {}
        for subject, held in self.held.values():
            similarity = float(_VECTORS[held].astype(np.float64) @ _VECTORS[number].astype(np.float64))
            best[subject] = max(similarity, best.get(subject, -1.0))
        expected = sorted(best.items(), key=lambda entry: -entry[1])[:want]
        assert [c.subject_id for c in found] == [subject for subject, _ in expected]
        assert [c.similarity for c in found] == pytest.approx([s for _, s in expected], abs=1e-6)

    @invariant()
    def both_connections_agree_with_the_dictionary(self) -> None:
        for gallery in self.galleries:
            assert gallery.size == GallerySize(len(self.subjects()), len(self.held))
            assert {s.subject_id for s in gallery.subjects()} == self.subjects()

    @invariant()
    def nothing_is_half_there(self) -> None:
        assert self.galleries[0].check() == []


LIFE = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class TestSmallGallery(GalleryLife.TestCase):
    settings = LIFE


class TestSealedGallery(GalleryLife.TestCase):
    """The same lives with an encrypted file."""

    settings = settings(LIFE, max_examples=8)

    @pytest.fixture(autouse=True)
    def _key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LINEAMENT_GALLERY_KEY", "5e" * 32)


class TestLargeGallery(GalleryLife.TestCase):
    """The same lives with the coarse scan, and a cache that wears out quickly."""

    settings = LIFE

    @pytest.fixture(autouse=True)
    def _low_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(index, "EXACT_ROWS", 16)
        monkeypatch.setattr(index, "_MIN_WORN_ROWS", 4)
