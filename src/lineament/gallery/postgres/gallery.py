"""The gallery on PostgreSQL: the same calls as the embedded one, for any number of machines."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from lineament.core.arrays import FloatArray
from lineament.core.errors import EmbeddingSpaceMismatch, GalleryError, InputError
from lineament.core.types import Candidate, Embedding, Identification, OperatingPoint
from lineament.gallery.postgres.adding import insert_new, require_no_conflict
from lineament.gallery.postgres.check import find_faults
from lineament.gallery.postgres.schema import prepare, schema_of, schema_version
from lineament.gallery.postgres.search import MAX_EF, Searcher
from lineament.gallery.postgres.server import Limits, Server
from lineament.gallery.postgres.store import Store
from lineament.gallery.receipts import public_key
from lineament.gallery.rows import Refused, new_row, require_space
from lineament.gallery.search import decided
from lineament.gallery.transfer import opened_export
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

_IMPORT_ROWS = 5000


class PostgresGallery:
    """A store of templates on a PostgreSQL server with pgvector; make one with :meth:`open`.

    It keeps the promises of :class:`~lineament.gallery.GalleryStore`. Calls from several threads run at once, on as
    many connections as its :class:`Limits` allow; a connection that broke is replaced. It does not survive ``fork``.
    """

    def __init__(self, server: Server, name: str, space: str, hnsw_ef: int | None) -> None:
        self._server = server
        self._schema = schema_of(name)
        self._space = space
        self._hnsw_ef = hnsw_ef

    @classmethod
    def open(
        cls,
        dsn: str,
        *,
        space: str,
        name: str = "default",
        create: bool = False,
        hnsw_ef: int | None = None,
        limits: Limits | None = None,
    ) -> "PostgresGallery":
        """Open the gallery ``name`` of the database at ``dsn``.

        Args:
            dsn: a libpq connection string or URI. Its password appears in no message.
            space: id of the embedding space of all templates.
            name: one database may hold many; 1 to 50 of a-z, 0-9, _ and -, a letter or digit first.
            create: make the gallery when it is not there.
            hnsw_ef: width, 1 to 1000, of searches in the graph that :meth:`build_hnsw` makes; those may miss weak
                mates. None compares every template.
            limits: connections and waiting; None for the defaults.

        Raises:
            GalleryNotFound: there is no such gallery and ``create`` is False.
            EmbeddingSpaceMismatch: it holds templates of another space.
            GalleryError: the server cannot be reached, has a newer layout, or would not keep what it acknowledges.
        """
        if not space:
            raise ValueError("space must be the id of an embedding space, got an empty text")
        if hnsw_ef is not None and not 1 <= hnsw_ef <= MAX_EF:
            raise ValueError(f"hnsw_ef must be 1 to {MAX_EF}, got {hnsw_ef}")
        schema_of(name)
        server = Server(dsn, limits or Limits())
        try:
            prepare(server, name, space, create)
        except BaseException:
            server.close()
            raise
        return cls(server, name, space, hnsw_ef)

    def close(self) -> None:
        """Close the connections; closing twice does nothing."""
        self._server.close()

    def __enter__(self) -> "PostgresGallery":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        """Add one sample; when this returns a receipt, the server has it on its disk.

        Args:
            subject_id: as in :class:`~lineament.gallery.NewSample`, like the next three.
            embedding: its template.
            sample_id: None lets the gallery choose.
            source_sha256: of the encoded picture, or empty.
            conflict_threshold: as for :meth:`enroll_many`.

        Raises:
            EmbeddingSpaceMismatch: the embedding is of another space.
            InputError: an id or digest that cannot be stored.
        """
        sample = NewSample(subject_id, embedding, sample_id, source_sha256)
        result = self.enroll_many([sample], conflict_threshold=conflict_threshold)
        return result if isinstance(result, EnrollmentRefusal) else result[0]

    def enroll_many(
        self, samples: Sequence[NewSample], *, conflict_threshold: float | None = None
    ) -> tuple[Enrolled, ...] | EnrollmentRefusal:
        """Add all samples in one transaction, or none: the first refusal stops it and leaves nothing.

        Args:
            samples: what to enroll.
            conflict_threshold: refuse when a sample of another subject, in the gallery or earlier in ``samples``,
                is at least as similar; None does not look. Each sample then costs one search, while other writers
                wait.

        Raises:
            EmbeddingSpaceMismatch: an embedding is of another space or length.
            InputError: a sample with a crop; pictures stay out of a shared server.
        """
        for sample in samples:
            require_space(self._space, sample.embedding)
            if sample.crop:
                raise InputError("a gallery on PostgreSQL keeps no pictures; enroll without crop")
        if not samples:
            return ()
        if len({sample.embedding.vector.size for sample in samples}) > 1:
            raise EmbeddingSpaceMismatch("embeddings of one space have one length, got several")
        rows = [new_row(sample) for sample in samples]
        try:
            with self._write() as store:
                store.require_dimension(rows[0].vector.size)
                if conflict_threshold is not None:
                    require_no_conflict(store, rows, conflict_threshold, self._hnsw_ef)
                return insert_new(store, rows, 0)
        except Refused as refused:
            return refused.refusal

    def import_(self, path: str | Path) -> Imported | EnrollmentRefusal:
        """Add everything of a file that an embedded gallery exported, in one transaction, or nothing.

        Samples of a subject that exists go to that subject. The file's calibration is taken when none is set. Gives
        how much was added, or the first sample that is already there.

        Raises:
            GalleryNotFound: no file there.
            EmbeddingSpaceMismatch: it holds templates of another space or length.
            GalleryCorrupt: the file is not a sound export.
        """
        try:
            with self._write() as store, opened_export(self._space, Path(path)) as export:
                before = store.size()
                if export.dimension is not None:
                    store.require_dimension(export.dimension)
                position = 0
                while rows := list(islice(export.rows, _IMPORT_ROWS)):
                    insert_new(store, rows, position)
                    position += len(rows)
                if not store.calibration():
                    store.set_calibration(export.calibration)
                after = store.size()
        except Refused as refused:
            return refused.refusal
        return Imported(after.subjects - before.subjects, after.samples - before.samples)

    # Searching

    def search(
        self, vectors: FloatArray, *, max_candidates: int = 5, exact: bool = False
    ) -> list[tuple[Candidate, ...]]:
        """The most similar subjects of each vector, each by its best sample, whatever the similarity.

        Similarities are those of the stored float32 templates, in double precision. Without a graph, or with
        ``exact``, so is the ranking.

        Args:
            vectors: (Q, D) float32, of the gallery's embedding space; any length but zero.
            max_candidates: subjects to return for each, at least 1.
            exact: compare with every template, although the gallery was opened with ``hnsw_ef``.

        Returns:
            For each vector its candidates, best first; ties in the order of enrollment.

        Raises:
            BadArray: not (Q, D) float32, or a vector that has no direction.
            EmbeddingSpaceMismatch: the gallery's templates have another length.
        """
        with self._read() as store:
            return Searcher(store, self._hnsw_ef).search(vectors, max_candidates, exact)

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
            max_candidates: as for :meth:`search`, and so is ``exact``.
            exact: compare with every template.

        Raises:
            EmbeddingSpaceMismatch: the embedding or the point is of another space.
        """
        require_space(self._space, embedding, point)
        with self._read() as store:
            (found,) = Searcher(store, self._hnsw_ef).search(embedding.vector[None], max_candidates, exact)
            searched = store.size().samples
        return decided(found, point, fpir, searched)

    def build_hnsw(self, *, m: int = 16, ef_construction: int = 64) -> None:
        """Make the graph that ``hnsw_ef`` searches, in place of one that is there; writers wait meanwhile.

        Args:
            m: links of a sample in each layer, 2 to 100.
            ef_construction: width of the search for links, at least twice ``m``, at most 1000.

        Raises:
            GalleryError: nothing is enrolled yet, so the length of a template is not known.
        """
        if not 2 <= m <= 100 or not 2 * m <= ef_construction <= MAX_EF:
            raise ValueError(
                f"expected m in 2 to 100 and ef_construction in 2 m to {MAX_EF}, got {m} and {ef_construction}"
            )
        with self._write() as store:
            dimension = store.dimension()
            if dimension is None:
                raise GalleryError("an empty gallery needs no graph; enroll first")
            store.build_graph(dimension, m, ef_construction)

    # Looking

    @property
    def size(self) -> GallerySize:
        """How many subjects and samples there are."""
        with self._read() as store:
            return store.size()

    def subjects(self) -> list[SubjectSummary]:
        """All subjects, ordered by id."""
        with self._read() as store:
            return store.subjects()

    def subject(self, subject_id: str) -> list[SampleRecord]:
        """The samples of one subject, oldest first.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        with self._read() as store:
            return store.samples_of(subject_id)

    def info(self) -> GalleryInfo:
        """Space, layout, counts, calibration and bytes on the server's disk."""
        with self._read() as store:
            return GalleryInfo(
                space=self._space,
                schema_version=schema_version(),
                dimension=store.dimension(),
                size=store.size(),
                calibration=store.calibration(),
                created_s=store.created_s(),
                bytes_on_disk=store.bytes_on_disk(),
                public_key=public_key(store.signing_seed()),
            )

    def check(self) -> list[str]:
        """Every fault of the gallery in words; empty for a sound one. Reads everything."""
        with self._read() as store:
            return find_faults(store)

    @property
    def calibration(self) -> str:
        """Name of the calibration record in use; empty when none was set."""
        with self._read() as store:
            return store.calibration()

    def set_calibration(self, name: str) -> None:
        """Note which calibration record is in use; an empty name forgets it."""
        with self._write() as store:
            store.set_calibration(name)

    # Removing and moving

    def remove_subject(self, subject_id: str) -> Removal:
        """Remove a subject with all its samples; no search finds them from now on.

        ``purged`` is always False: the server keeps old versions of rows until it vacuums, and its log longer.
        The receipt knows no copies: backups of the server are its administrator's.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        with self._write() as store:
            receipt = store.remove_subject(subject_id)
        return Removal(len(receipt.sample_ids), purged=False, receipt=receipt)

    def remove_sample(self, sample_id: str) -> Removal:
        """Remove one sample as :meth:`remove_subject` does; a subject goes with its last sample.

        Raises:
            SubjectNotFound: there is no such sample.
        """
        with self._write() as store:
            receipt = store.remove_sample(sample_id)
        return Removal(1, purged=False, receipt=receipt)

    def merge(self, into: str, source: str) -> int:
        """Give all samples of ``source`` to ``into``, for one person enrolled twice; returns how many.

        Raises:
            SubjectNotFound: there is no such subject.
            GalleryError: both are the same.
        """
        with self._write() as store:
            return store.merge(into, source)

    def rename(self, old: str, new: str) -> None:
        """Give a subject another id.

        Raises:
            SubjectNotFound: there is no subject ``old``.
            GalleryError: there is a subject ``new``; merging may be what is wanted.
            InputError: ``new`` cannot be an id.
        """
        check_id(new, "subject id")
        with self._write() as store:
            store.rename(old, new)

    @contextmanager
    def _read(self) -> Iterator[Store]:
        with self._server.read() as connection:
            yield Store(connection, self._schema)

    @contextmanager
    def _write(self) -> Iterator[Store]:
        with self._server.write() as connection:
            store = Store(connection, self._schema)
            store.lock()
            yield store
