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
from lineament.gallery import Enrolled, EnrollmentRefusal, Gallery, GallerySize, Imported, NewSample, index

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
    """``held`` maps each sample id to its subject and the number of its vector."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "g"
        self.galleries = [Gallery.open(self.path, space=SPACE, create=True) for _ in range(2)]
        self.held: dict[str, tuple[str, int]] = {}
        self.count = 0

    def teardown(self) -> None:
        for gallery in self.galleries:
            gallery.close()
        shutil.rmtree(self.folder)

    def subjects(self) -> set[str]:
        return {subject for subject, _ in self.held.values()}

    @rule(which=WHICH, subject=SUBJECTS, number=VECTORS, threshold=st.sampled_from([None, 0.3, 0.6]))
    def enroll(self, which: int, subject: str, number: int, threshold: float | None) -> None:
        self.count += 1
        sample = f"sample {self.count}"
        result = self.galleries[which].enroll(
            subject, Embedding(_VECTORS[number], SPACE), sample_id=sample, conflict_threshold=threshold
        )
        if number in {n for _, n in self.held.values()}:
            assert isinstance(result, EnrollmentRefusal)
            assert result.kind == "duplicate_sample"
            assert self.held[result.sample_id] == (result.subject_id, number)
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
        there = [n for _, n in self.held.values()]
        if len(set(numbers) | set(there)) < len(numbers) + len(there):
            assert isinstance(result, EnrollmentRefusal)
        else:
            assert result == tuple(Enrolled(subject, i) for i in ids)
            self.held |= {i: (subject, n) for i, n in zip(ids, numbers, strict=True)}

    @rule(which=WHICH, subject=SUBJECTS)
    def remove_subject(self, which: int, subject: str) -> None:
        mine = [sample for sample, (owner, _) in self.held.items() if owner == subject]
        if not mine:
            with pytest.raises(SubjectNotFound):
                self.galleries[which].remove_subject(subject)
            return
        assert self.galleries[which].remove_subject(subject).samples == len(mine)
        for sample in mine:
            del self.held[sample]

    @precondition(lambda self: self.held)
    @rule(which=WHICH, data=st.data())
    def remove_sample(self, which: int, data: st.DataObject) -> None:
        sample = data.draw(st.sampled_from(sorted(self.held)))
        self.galleries[which].remove_sample(sample)
        del self.held[sample]

    @rule(which=WHICH, into=SUBJECTS, source=SUBJECTS)
    def merge(self, which: int, into: str, source: str) -> None:
        if into == source or not {into, source} <= self.subjects():
            with pytest.raises(GalleryError):
                self.galleries[which].merge(into, source)
            return
        mine = [sample for sample, (owner, _) in self.held.items() if owner == source]
        assert self.galleries[which].merge(into, source) == len(mine)
        for sample in mine:
            self.held[sample] = (into, self.held[sample][1])

    @rule(which=WHICH, old=SUBJECTS, new=SUBJECTS)
    def rename(self, which: int, old: str, new: str) -> None:
        if old not in self.subjects() or new in self.subjects():
            with pytest.raises(GalleryError):
                self.galleries[which].rename(old, new)
            return
        self.galleries[which].rename(old, new)
        for sample, (owner, number) in self.held.items():
            if owner == old:
                self.held[sample] = (new, number)

    @rule(which=WHICH)
    def reopen(self, which: int) -> None:
        self.galleries[which].close()
        self.galleries[which] = Gallery.open(self.path, space=SPACE)

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
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class TestSmallGallery(GalleryLife.TestCase):
    settings = LIFE


class TestLargeGallery(GalleryLife.TestCase):
    """The same lives with the coarse scan, and a cache that wears out quickly."""

    settings = LIFE

    @pytest.fixture(autouse=True)
    def _low_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(index, "EXACT_ROWS", 16)
        monkeypatch.setattr(index, "_MIN_WORN_ROWS", 4)
