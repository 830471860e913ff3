"""Another model for a gallery that is there: embed the kept crops anew, compare, switch, drop the old templates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lineament.core.arrays import FloatArray, check_floats
from lineament.core.errors import EmbeddingSpaceMismatch, GalleryError
from lineament.gallery.drift import DriftReport, SpaceTemplates, drift
from lineament.gallery.ledger import other_space
from lineament.gallery.migrate import new_generation
from lineament.gallery.rows import STORED, crop_label, template_label
from lineament.gallery.session import Session

EmbedCrops = Callable[[Sequence[bytes]], FloatArray]
"""From N encoded crops to (N, D) float32 unit vectors of the new space."""
_NORM_TOLERANCE = 1e-3
_LIVE = "s.state <> 'rejected'"


@dataclass(frozen=True, slots=True)
class UpgradeProgress:
    """Where an upgrade stands.

    Attributes:
        space: the other space, or empty when none was begun.
        done: samples that have a template of it.
        left: samples that have a crop and wait.
        without_crop: ids of samples that have neither; the gallery cannot be switched while there are any.
    """

    space: str
    done: int
    left: int
    without_crop: tuple[str, ...]


class Upgrade:
    """The upgrade of an open gallery. Both spaces lie side by side, and searches use the present one."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def begin(self, space: str) -> None:
        """Name the other space; naming it again goes on with what was begun.

        Raises:
            GalleryError: it is the present one, or a third space is there.
        """
        store = self._session.store
        with self._session.transaction(write=True):
            present = other_space(store)
            if not space or space == store.space:
                raise GalleryError(
                    f"the gallery holds templates of {store.space} already; name another space"
                )
            if present not in ("", space):
                raise GalleryError(f"templates of {present} are beside the present ones; drop them first")
            store.connection.execute("UPDATE gallery SET other_space = ?", (space,))

    def progress(self) -> UpgradeProgress:
        """What is done and what is left."""
        store = self._session.store
        with self._session.transaction(write=False):
            space = other_space(store)
            done = store.connection.execute("SELECT count(*) FROM other_templates").fetchone()[0]
            left = store.connection.execute(
                "SELECT count(*) FROM crops WHERE sample NOT IN (SELECT sample FROM other_templates)"
            ).fetchone()[0]
            missing = store.connection.execute(
                f"SELECT s.name FROM samples s WHERE {_LIVE} AND s.id NOT IN (SELECT sample FROM crops) "  # noqa: S608
                "AND s.id NOT IN (SELECT sample FROM other_templates) ORDER BY s.id"
            )
            names = tuple(store.codec.open_name(row[0], "sample") for row in missing)
        return UpgradeProgress(space, done, left, names)

    def step(self, embed: EmbedCrops, count: int = 64) -> int:
        """Embed the next crops anew; what was done stays done when the process is stopped.

        Args:
            embed: the new model on encoded crops; no transaction is open meanwhile.
            count: crops at once.

        Returns: how many were stored: fewer than were embedded when somebody else removed or stored some meanwhile.

        Raises:
            GalleryError: no space was begun, or it was dropped meanwhile.
            EmbeddingSpaceMismatch: the vectors have another length than those before.
        """
        store = self._session.store
        with self._session.transaction(write=False):
            space = other_space(store)
            if not space:
                raise GalleryError("no other space was begun; begin the upgrade first")
            found = store.connection.execute(
                "SELECT s.id, s.uid, c.picture FROM crops c JOIN samples s ON s.id = c.sample "
                "WHERE c.sample NOT IN (SELECT sample FROM other_templates) ORDER BY s.id LIMIT ?",
                (count,),
            ).fetchall()
            crops = [store.codec.open(picture, crop_label(uid)) for _, uid, picture in found]
        if not found:
            return 0
        vectors = embed(crops)
        check_floats(vectors, (len(found), None), "vectors of the new space")
        if not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=_NORM_TOLERANCE):
            raise ValueError("the new model gave vectors that are not of unit length; check its embedder")
        with self._session.transaction(write=True):
            return self._store_vectors(space, [(number, uid) for number, uid, _ in found], vectors)

    def _store_vectors(self, space: str, samples: Sequence[tuple[int, bytes]], vectors: FloatArray) -> int:
        store = self._session.store
        present = other_space(store)
        if present != space:
            raise GalleryError(
                f"the upgrade to {space} was dropped while crops were embedded, the other space is "
                f"{present or 'none'} now; begin it again"
            )
        (dimension,) = store.connection.execute("SELECT other_dimension FROM gallery").fetchone()
        if dimension not in (None, vectors.shape[1]):
            raise EmbeddingSpaceMismatch(
                f"templates of {space} have {dimension} values, got {vectors.shape[1]}; use one model"
            )
        store.connection.execute("UPDATE gallery SET other_dimension = ?", (vectors.shape[1],))
        done = 0
        for (number, uid), vector in zip(samples, vectors, strict=True):
            sealed = store.codec.seal(vector.astype(STORED).tobytes(), template_label(space, uid))
            # The sample may have been removed or renumbered while it was embedded.
            done += store.connection.execute(
                "INSERT OR IGNORE INTO other_templates SELECT id, ? FROM samples WHERE id = ? AND uid = ? "
                "AND state <> 'rejected'",
                (sealed, number, uid),
            ).rowcount
        return done

    def report(self) -> DriftReport:
        """How both spaces judge the samples that have a template in both and are searched."""
        store = self._session.store
        with self._session.transaction(write=False):
            space = other_space(store)
            found = store.connection.execute(
                "SELECT s.name, u.name, s.uid, t.vector, o.vector FROM samples s "
                "JOIN subjects u ON u.id = s.subject JOIN templates t ON t.sample = s.id "
                "JOIN other_templates o ON o.sample = s.id WHERE s.state = 'active' ORDER BY s.id"
            ).fetchall()
            if not found:
                raise GalleryError("no sample has templates in two spaces; embed the crops anew first")
            old = np.stack([store.vector(row[3], row[2]) for row in found])
            new = np.stack(
                [
                    np.frombuffer(store.codec.open(row[4], template_label(space, row[2])), STORED)
                    for row in found
                ]
            )
            samples = [store.codec.open_name(row[0], "sample") for row in found]
            subjects = [store.codec.open_name(row[1], "subject") for row in found]
            names = store.space, space
        return drift(samples, subjects, SpaceTemplates(names[0], old), SpaceTemplates(names[1], new))

    def switch(self) -> None:
        """Make the other space the present one, in one transaction; the old templates stay beside it.

        Open connections, this one too, are told to open anew. The calibration record is forgotten: it belongs to
        the old space. Switching again goes back, as long as every sample has a template of both.

        Raises:
            GalleryError: no other space, or samples without a template of it: embed them, or remove them.
        """
        store = self._session.store
        with self._session.transaction(write=True):
            space, connection = other_space(store), store.connection
            (missing,) = connection.execute(
                f"SELECT count(*) FROM samples s WHERE {_LIVE} "  # noqa: S608
                "AND s.id NOT IN (SELECT sample FROM other_templates)"
            ).fetchone()
            if not space or missing:
                what = (
                    f"samples without a template of {space}: {missing}"
                    if space
                    else "no other space was begun"
                )
                raise GalleryError(f"{what}; nothing was changed, embed their crops or remove them first")
            digests = [
                (store.codec.digest(store.codec.open(vector, template_label(space, uid))), number)
                for number, uid, vector in connection.execute(
                    "SELECT s.id, s.uid, o.vector FROM samples s JOIN other_templates o ON o.sample = s.id"
                )
            ]
            connection.executemany("UPDATE samples SET digest = ? WHERE id = ?", digests)
            for old, new in (
                ("templates", "templates_before"),
                ("other_templates", "templates"),
                ("templates_before", "other_templates"),
            ):
                connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
            connection.execute(
                "UPDATE gallery SET space = other_space, other_space = space, dimension = other_dimension, "
                "other_dimension = dimension, calibration = '', generation = ?",
                (new_generation(),),
            )

    def drop(self) -> int:
        """Remove the templates of the other space and overwrite their bytes; returns how many there were."""
        connection = self._session.store.connection
        with self._session.transaction(write=True):
            count = connection.execute("DELETE FROM other_templates").rowcount
            connection.execute("UPDATE gallery SET other_space = '', other_dimension = NULL")
        self._session.purge()
        return count
