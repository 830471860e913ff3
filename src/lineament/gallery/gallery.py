"""The gallery: enroll, search, identify, remove. Puts the store and the cache together."""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.core.errors import EmbeddingSpaceMismatch, GalleryError
from lineament.core.types import Candidate, Decision, Embedding, Identification, OperatingPoint
from lineament.gallery import transfer
from lineament.gallery.check import find_faults
from lineament.gallery.conflict import nearest_conflict
from lineament.gallery.schema import SCHEMA_VERSION, explained, open_connection
from lineament.gallery.search import Searcher
from lineament.gallery.store import Refused, Row, Store, new_row, space_mismatch
from lineament.gallery.types import (
    Enrolled,
    EnrollmentRefusal,
    GalleryInfo,
    GallerySize,
    Imported,
    NewSample,
    Removal,
    SampleRecord,
    SubjectSummary,
    check_id,
)


class Gallery:
    """An embedded store of templates; make one with :meth:`open`.

    Every call is one transaction on a snapshot, sees what other processes have done before it, and waits for
    their writes up to the busy timeout. When an enrolling or removing call returns, its effect is on the disk.

    A gallery may be shared by threads; its calls then run one after another. It does not survive ``fork``.
    All calls raise :class:`~lineament.core.errors.GalleryError` when the file cannot be read or written (locked,
    full, read-only) and :class:`~lineament.core.errors.GalleryCorrupt` when it is damaged.
    """

    def __init__(self, path: Path, space: str, connection: sqlite3.Connection, threads: int) -> None:
        self._path = path
        self._space = space
        self._connection = connection
        self._store = Store(connection)
        self._searcher = Searcher(self._store, threads)
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._closed = False

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        space: str,
        create: bool = False,
        threads: int = 2,
        busy_timeout_s: float = 10.0,
    ) -> "Gallery":
        """Open the gallery at ``path``.

        Args:
            path: a file on a local disk.
            space: id of the embedding space of all its templates.
            create: make the gallery when nothing or an empty file is there.
            threads: of the coarse scan in a large gallery.
            busy_timeout_s: how long to wait for other processes.

        Raises:
            GalleryNotFound: nothing is there and ``create`` is False.
            GalleryCorrupt: something else than a gallery is there, or a damaged one.
            EmbeddingSpaceMismatch: it holds templates of another space.
            GalleryError: a folder, a newer layout, or the file cannot be opened.
        """
        if not space:
            raise ValueError("space must be the id of an embedding space, got an empty text")
        if threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        path = Path(path)
        return cls(path, space, open_connection(path, space, create, busy_timeout_s), threads)

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._searcher.forget()
                self._store.close()

    @property
    def space(self) -> str:
        """Id of the embedding space."""
        return self._space

    # Adding

    def enroll(
        self,
        subject_id: str,
        embedding: Embedding,
        *,
        sample_id: str | None = None,
        source_sha256: str = "",
        conflict_threshold: float | None = None,
    ) -> Enrolled | EnrollmentRefusal:
        """Add one sample; when this returns a receipt, the sample is on the disk.

        Args:
            subject_id: whose it is, 1 to 200 characters without control characters; made when new.
            embedding: its template.
            sample_id: unique in the gallery, of the same kind of text; None lets the gallery choose.
            source_sha256: digest of the encoded picture; empty when it may not serve to find duplicates.
            conflict_threshold: refuse when a sample of another subject is at least as similar; None does not look.

        Returns:
            A receipt, or why nothing was enrolled.

        Raises:
            EmbeddingSpaceMismatch: the embedding is of another space.
            InputError: an id or digest that cannot be stored.
        """
        result = self.enroll_many(
            [NewSample(subject_id, embedding, sample_id, source_sha256)],
            conflict_threshold=conflict_threshold,
        )
        return result if isinstance(result, EnrollmentRefusal) else result[0]

    def enroll_many(
        self, samples: Sequence[NewSample], *, conflict_threshold: float | None = None
    ) -> tuple[Enrolled, ...] | EnrollmentRefusal:
        """Add all samples in one transaction, or none: the first refusal stops it and leaves nothing.

        Args:
            samples: what to enroll.
            conflict_threshold: refuse when a sample of another subject, in the gallery or earlier in ``samples``,
                is at least as similar; None does not look.

        Returns:
            One receipt for each sample, in order, or why nothing was enrolled.

        Raises:
            EmbeddingSpaceMismatch: an embedding is of another space or length.
        """
        for sample in samples:
            self._require_space(sample.embedding)
        if len({sample.embedding.vector.size for sample in samples}) > 1:
            raise EmbeddingSpaceMismatch(
                "embeddings of one space have one length, got several; enroll them apart"
            )
        if not samples:
            return ()
        rows = [
            new_row(sample.subject_id, sample.sample_id, sample.embedding.vector, sample.source_sha256)
            for sample in samples
        ]
        if conflict_threshold is not None:
            # Reading a large gallery takes seconds; other writers need not wait for that.
            with self._transaction(write=False):
                self._searcher.refresh()
        try:
            with self._transaction(write=True):
                self._store.require_dimension(rows[0].vector.size)
                if conflict_threshold is not None:
                    self._refuse_conflicts(rows, conflict_threshold)
                return tuple(self._store.insert(row, position) for position, row in enumerate(rows))
        except Refused as refused:
            return refused.refusal

    def _refuse_conflicts(self, rows: Sequence[Row], threshold: float) -> None:
        # A sample that is there already is a duplicate, not a conflict with itself.
        for position, row in enumerate(rows):
            self._store.require_new(row, position)
        vectors = np.stack([row.vector for row in rows])
        conflict = nearest_conflict(rows, self._searcher.search(vectors, 2, exact=False), threshold)
        if conflict is not None:
            raise Refused(conflict)

    # Searching

    def search(
        self, vectors: FloatArray, *, max_candidates: int = 5, exact: bool = False
    ) -> list[tuple[Candidate, ...]]:
        """The most similar subjects of each vector, each by its best sample, whatever the similarity.

        Similarities are always those of the stored float32 templates. Up to ten thousands of samples the ranking
        is exact; above, a coarse scan may miss a subject far below any threshold unless ``exact`` is set.

        Args:
            vectors: (Q, D) float32, of the gallery's embedding space; any length but zero.
            max_candidates: subjects to return for each, at least 1.
            exact: compare with every template.

        Returns:
            For each vector its candidates, best first; ties in the order of enrollment.

        Raises:
            BadArray: not (Q, D) float32, or a vector that has no direction.
            EmbeddingSpaceMismatch: the gallery's templates have another length.
        """
        with self._transaction(write=False):
            return self._searcher.search(vectors, max_candidates, exact)

    def identify(
        self,
        embedding: Embedding,
        *,
        point: OperatingPoint,
        fpir: float,
        max_candidates: int = 5,
        exact: bool = False,
    ) -> Identification:
        """Search one probe and keep the subjects that match at ``point`` or might.

        Args:
            embedding: the probe's template.
            point: threshold for a gallery of this size, from a calibration record.
            fpir: the false positive identification rate that ``point`` was made for, a fraction.
            max_candidates: subjects to return at most.
            exact: compare with every template; faster for one probe of a large gallery.

        Raises:
            EmbeddingSpaceMismatch: the embedding or the point is of another space.
        """
        self._require_space(embedding)
        if point.space not in ("", self._space):
            raise space_mismatch(self._space, point.space)
        with self._transaction(write=False):
            (found,) = self._searcher.search(embedding.vector[None], max_candidates, exact)
            searched = self._searcher.searched
        return Identification(
            candidates=tuple(c for c in found if point.decide(c.similarity) is Decision.MATCH),
            undecided=tuple(c for c in found if point.decide(c.similarity) is Decision.UNDECIDED),
            nearest=found[0] if found else None,
            fpir=fpir,
            gallery_size=searched,
            point=point,
        )

    # Looking

    @property
    def size(self) -> GallerySize:
        """How many subjects and samples there are."""
        with self._transaction(write=False):
            return self._store.size()

    def subjects(self) -> list[SubjectSummary]:
        """All subjects, ordered by id."""
        with self._transaction(write=False):
            return self._store.subjects()

    def subject(self, subject_id: str) -> list[SampleRecord]:
        """The samples of one subject, oldest first.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        with self._transaction(write=False):
            return self._store.samples_of(subject_id)

    def info(self) -> GalleryInfo:
        """Space, layout, counts, calibration and bytes on the disk."""
        with self._transaction(write=False):
            log = self._path.with_name(self._path.name + "-wal")
            return GalleryInfo(
                space=self._space,
                schema_version=SCHEMA_VERSION,
                dimension=self._store.dimension(),
                size=self._store.size(),
                calibration=self._store.calibration(),
                created_s=self._store.created_s(),
                bytes_on_disk=sum(file.stat().st_size for file in (self._path, log) if file.exists()),
            )

    def check(self) -> list[str]:
        """Every fault of the file in words; empty for a sound gallery. Reads the whole file."""
        with self._transaction(write=False):
            return find_faults(self._connection)

    @property
    def calibration(self) -> str:
        """Name of the calibration record in use; empty when none was set."""
        with self._transaction(write=False):
            return self._store.calibration()

    def set_calibration(self, name: str) -> None:
        """Note which calibration record is in use; an empty name forgets it."""
        with self._transaction(write=True):
            self._store.set_calibration(name)

    # Removing and moving

    def remove_subject(self, subject_id: str) -> Removal:
        """Remove a subject with all its samples, and overwrite their bytes.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        with self._transaction(write=True):
            count = self._store.remove_subject(subject_id)
        return Removal(count, self._purge())

    def remove_sample(self, sample_id: str) -> Removal:
        """Remove one sample and overwrite its bytes; a subject goes with its last sample.

        Raises:
            SubjectNotFound: there is no such sample.
        """
        with self._transaction(write=True):
            self._store.remove_sample(sample_id)
        return Removal(1, self._purge())

    def merge(self, into: str, source: str) -> int:
        """Give all samples of ``source`` to ``into``, for one person enrolled twice; returns how many.

        Raises:
            SubjectNotFound: there is no such subject.
            GalleryError: both are the same.
        """
        with self._transaction(write=True):
            count = self._store.merge(into, source)
        self._purge()
        return count

    def rename(self, old: str, new: str) -> None:
        """Give a subject another id.

        Raises:
            SubjectNotFound: there is no subject ``old``.
            GalleryError: there is a subject ``new``; merging may be what is wanted.
            InputError: ``new`` cannot be an id.
        """
        check_id(new, "subject id")
        with self._transaction(write=True):
            self._store.rename(old, new)
        self._purge()

    def _purge(self) -> bool:
        with self._lock, explained(self._path):
            self._require_usable()
            return self._store.purge_log()

    # Carrying

    def export(self, path: str | Path) -> GallerySize:
        """Write everything to a new portable file (see the README of this package), whole or not at all.

        Raises:
            GalleryError: ``path`` exists or cannot be written.
        """
        with self._transaction(write=False):
            return transfer.export(self._store, self._space, Path(path))

    def import_(self, path: str | Path) -> Imported | EnrollmentRefusal:
        """Add everything of an exported file in one transaction, or nothing.

        Samples of a subject that exists go to that subject. The file's calibration is taken when none is set.

        Returns:
            How much was added, or the first sample that is already there.

        Raises:
            GalleryNotFound: no file there.
            EmbeddingSpaceMismatch: it holds templates of another space or length.
            GalleryCorrupt: the file is not a sound export.
        """
        try:
            with self._transaction(write=True):
                return transfer.import_(self._store, self._space, Path(path))
        except Refused as refused:
            return refused.refusal

    @contextmanager
    def _transaction(self, write: bool) -> Iterator[None]:
        with self._lock, explained(self._path):
            self._require_usable()
            with self._store.transaction(write):
                yield

    def _require_usable(self) -> None:
        if self._closed:
            raise GalleryError(f"the gallery {self._path} is closed; open it again")
        if os.getpid() != self._process:
            raise GalleryError(f"the gallery {self._path} was opened before a fork; open it in each process")

    def _require_space(self, embedding: Embedding) -> None:
        if embedding.space != self._space:
            raise space_mismatch(self._space, embedding.space)
