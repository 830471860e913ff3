"""The gallery: enroll, search, identify, remove. Puts the store and the cache together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.core.errors import EmbeddingSpaceMismatch
from lineament.core.types import Candidate, Embedding, Identification, OperatingPoint
from lineament.gallery import ledger, transfer
from lineament.gallery.check import find_faults
from lineament.gallery.conflict import nearest_conflict
from lineament.gallery.copies import Copies
from lineament.gallery.corrections import Corrections
from lineament.gallery.keys import GalleryKey
from lineament.gallery.retention import Retention
from lineament.gallery.review import Review
from lineament.gallery.rows import Refused, Row, new_row, require_space
from lineament.gallery.search import Searcher, decided
from lineament.gallery.session import Session
from lineament.gallery.subject import SubjectTemplate, searched_samples
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
from lineament.gallery.upgrade import Upgrade


class Gallery:
    """An embedded store of templates; make one with :meth:`open`.

    Every call is one transaction on a snapshot, sees what other processes have done before it, and waits for
    their writes up to the busy timeout. When an enrolling or removing call returns, its effect is on the disk.

    A gallery may be shared by threads; its calls then run one after another. It does not survive ``fork``.
    All calls raise :class:`~lineament.core.errors.GalleryError` when the file cannot be read or written (locked,
    full, read-only) and :class:`~lineament.core.errors.GalleryCorrupt` when it is damaged.

    Attributes:
        review: samples that wait for a decision, and samples taken out of the search.
        corrections: probes that were said not to be a subject.
        copies: backups, and which copies there are.
        retention: removal of what is old or was not seen for long.
        upgrade: templates of another model beside the present ones.
    """

    def __init__(self, session: Session, threads: int) -> None:
        self._session = session
        self._store = session.store
        self._searcher = Searcher(session.store, threads)
        self._transaction = session.transaction
        self.review = Review(session, self._searcher)
        self.corrections = Corrections(session)
        self.copies = Copies(session)
        self.retention = Retention(session)
        self.upgrade = Upgrade(session)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        space: str,
        create: bool = False,
        threads: int = 2,
        busy_timeout_s: float = 10.0,
        key: GalleryKey | None = None,
    ) -> "Gallery":
        """Open the gallery at ``path``.

        Args:
            path: a file on a local disk.
            space: id of the embedding space of all its templates.
            create: make the gallery when nothing or an empty file is there.
            threads: of the coarse scan in a large gallery.
            busy_timeout_s: how long to wait for other processes.
            key: of an encrypted gallery; one that is made with a key is encrypted. None takes the key of
                ``LINEAMENT_GALLERY_KEY_FILE`` or ``LINEAMENT_GALLERY_KEY``.

        Raises:
            GalleryNotFound: nothing is there and ``create`` is False.
            GalleryCorrupt: something else than a gallery is there, or a damaged one.
            EmbeddingSpaceMismatch: it holds templates of another space.
            GalleryError: a folder, a newer layout, no key or a wrong one, or the file cannot be opened.
        """
        if not space:
            raise ValueError("space must be the id of an embedding space, got an empty text")
        if threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        return cls(Session(Path(path), space, create, busy_timeout_s, key), threads)

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        if self._session.close():
            self._searcher.forget()

    @property
    def space(self) -> str:
        """Id of the embedding space."""
        return self._session.space

    # Adding

    def enroll(
        self,
        subject_id: str,
        embedding: Embedding,
        *,
        sample_id: str | None = None,
        source_sha256: str = "",
        conflict_threshold: float | None = None,
        quality: float | None = None,
        crop: bytes = b"",
    ) -> Enrolled | EnrollmentRefusal:
        """Add one sample; when this returns a receipt, the sample is on the disk.

        Args:
            subject_id: whose it is, 1 to 200 characters without control characters; made when new.
            embedding: its template.
            sample_id: unique in the gallery, of the same kind of text; None lets the gallery choose.
            source_sha256: digest of the encoded picture; empty when it may not serve to find duplicates.
            conflict_threshold: refuse when a sample of another subject is at least as similar; None does not look.
            quality: of the picture, higher is better; a subject's template weighs its samples with it.
            crop: the aligned picture as PNG or JPEG bytes, kept to embed it anew with another model.

        Returns:
            A receipt, or why nothing was enrolled.

        Raises:
            EmbeddingSpaceMismatch: the embedding is of another space.
            InputError: an id or digest that cannot be stored.
        """
        result = self.enroll_many(
            [NewSample(subject_id, embedding, sample_id, source_sha256, quality, crop)],
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
            require_space(self.space, sample.embedding)
        if len({sample.embedding.vector.size for sample in samples}) > 1:
            raise EmbeddingSpaceMismatch(
                "embeddings of one space have one length, got several; enroll them apart"
            )
        if not samples:
            return ()
        rows = [new_row(sample) for sample in samples]
        if conflict_threshold is not None:
            with self._transaction(write=False):
                self._searcher.prepare()
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
        require_space(self.space, embedding, point)
        with self._transaction(write=False):
            (found,) = self._searcher.search(embedding.vector[None], max_candidates, exact)
            searched = self._searcher.searched
        return decided(found, point, fpir, searched)

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
        """The samples of one subject in any state, oldest first.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        with self._transaction(write=False):
            return self._store.samples_of(subject_id)

    def template(self, subject_id: str) -> SubjectTemplate:
        """One template of a subject from all its samples, to which no single one may add much.

        Raises:
            SubjectNotFound: there is no such subject, or no sample of it is searched.
        """
        with self._transaction(write=False):
            return searched_samples(self._store, subject_id).template()

    def info(self) -> GalleryInfo:
        """Space, layout, counts, calibration and bytes on the disk."""
        with self._transaction(write=False):
            return ledger.info(self._store, self._session.path)

    def check(self) -> list[str]:
        """Every fault of the file in words; empty for a sound gallery. Reads the whole file."""
        with self._transaction(write=False):
            return find_faults(self._store)

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
            gone = self._store.remove_subject(subject_id)
            receipt = ledger.unsigned_receipt(self._store, subject_id, gone)
        return self._session.removal(receipt)

    def remove_sample(self, sample_id: str) -> Removal:
        """Remove one sample and overwrite its bytes; a subject goes with its last sample.

        Raises:
            SubjectNotFound: there is no such sample.
        """
        with self._transaction(write=True):
            sample = self._store.sample(sample_id)
            subject_id = self._store.owner(sample)
            receipt = ledger.unsigned_receipt(self._store, subject_id, self._store.remove_samples([sample]))
        return self._session.removal(receipt)

    def merge(self, into: str, source: str) -> int:
        """Give all samples of ``source`` to ``into``, for one person enrolled twice; returns how many.

        Raises:
            SubjectNotFound: there is no such subject.
            GalleryError: both are the same.
        """
        with self._transaction(write=True):
            count = self._store.merge(into, source)
        self._session.purge()
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
        self._session.purge()

    # Carrying

    def export(self, path: str | Path) -> GallerySize:
        """Write everything to a new portable file (see the README of this package), whole or not at all.

        Raises:
            GalleryError: ``path`` exists or cannot be written.
        """
        with self.copies.published("export", Path(path)) as part, self._transaction(write=False):
            return transfer.export(self._store, self.space, part)

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
                return transfer.import_(self._store, self.space, Path(path))
        except Refused as refused:
            return refused.refusal
