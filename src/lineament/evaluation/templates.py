"""Templates of several pictures, as IJB-A, IJB-B and IJB-C compare and search them.

A template holds what is known of a person in one situation: pictures and frames of videos. Frames of one video are
alike, so vectors are averaged within each medium first and over the media after that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray
from lineament.core.errors import DataError
from lineament.evaluation.own import Asked, Measured, OwnReport, report_of
from lineament.evaluation.pairlists import LabelledPairs
from lineament.evaluation.peoplefolder import People, people_pairs
from lineament.evaluation.samples import Progress, SampleEmbeddings, acquire_samples
from lineament.evaluation.search import SearchReport, Templates, run_searches, search_report
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.tables import Table, read_table

IndexArray = NDArray[np.int64]
COLUMNS = {
    "template": ("template", "template_id"),
    "subject": ("subject", "subject_id"),
    "media": ("media", "media_id", "sighting_id"),
    "file": ("file", "filename"),
}
"""Names of the columns of a list, in any case."""
PAIR_COLUMNS = ("template_a", "template_b")


@dataclass(frozen=True, slots=True, eq=False)
class TemplateList:
    """Which pictures make up which template.

    Attributes:
        templates: ids, each once.
        subjects: the person of each template.
        files: pictures, each once.
        template_of_row: (R,) template of each row of the list.
        media_of_row: (R,) medium of each row; numbers are not shared between templates.
        file_of_row: (R,) picture of each row.
    """

    templates: tuple[str, ...]
    subjects: tuple[str, ...]
    files: tuple[str, ...]
    template_of_row: IndexArray
    media_of_row: IndexArray
    file_of_row: IndexArray

    @property
    def subject_numbers(self) -> IndexArray:
        """(T,) int64 number of each template's person."""
        return np.unique(np.asarray(self.subjects), return_inverse=True)[1].astype(np.int64)

    def places(self, ids: Sequence[str], path: Path) -> IndexArray:
        """Rows of templates by id.

        Args:
            ids: of templates.
            path: where the ids come from, for the message.

        Raises:
            DataError: an unknown id.
        """
        place = {name: i for i, name in enumerate(self.templates)}
        unknown = [name for name in ids if name not in place]
        if unknown:
            raise DataError(
                f"{path}: {len(unknown)} templates are not in the list of templates, {unknown[0]!r} first"
            )
        return np.array([place[name] for name in ids], np.int64)


def read_template_list(path: Path) -> TemplateList:
    """A list with one row for each picture of a template.

    Args:
        path: CSV with the columns template, subject, media and file (or TEMPLATE_ID, SUBJECT_ID, MEDIA_ID or
            SIGHTING_ID, FILENAME).

    Raises:
        DataError: a column is missing, or a template belongs to two people.
    """
    table = read_table(path)
    ids, people, media, files = (table.column(_find(table, kind)) for kind in COLUMNS)
    templates, first, template_of_row = np.unique(np.array(ids), return_index=True, return_inverse=True)
    wrong = [row for row, k in enumerate(template_of_row) if people[row] != people[first[k]]]
    if wrong:
        raise table.fault("a template belongs to two people", wrong)
    media_of_row = np.unique(np.array([template_of_row.astype(str), media]), axis=1, return_inverse=True)[1]
    names, file_of_row = np.unique(np.array(files), return_inverse=True)
    return TemplateList(
        tuple(templates.tolist()),
        tuple(people[row] for row in first),
        tuple(names.tolist()),
        template_of_row.astype(np.int64),
        media_of_row.ravel().astype(np.int64),
        file_of_row.astype(np.int64),
    )


def _find(table: Table, kind: str) -> str:
    for column in table.columns:
        if column.lower() in COLUMNS[kind]:
            return column
    raise DataError(f"{table.path}: expected a column {' or '.join(COLUMNS[kind])}, found {table.seen()}")


def pool_templates(found: SampleEmbeddings, listed: TemplateList) -> Templates:
    """One vector for each template: mean within each medium, sum over the media, scaled to unit length.

    Pictures that were refused are left out; a template without any other picture is not made.

    Args:
        found: one row for each of ``listed.files``.
        listed: the templates.

    Source: the media averaging of C. Whitelam et al., IARPA Janus Benchmark-B Face Dataset, CVPRW 2017, as public
        evaluation code applies it.
    """
    rows = np.flatnonzero(found.acquired[listed.file_of_row])
    media, template = listed.media_of_row[rows], listed.template_of_row[rows]
    numbers, first, place, count = np.unique(
        media, return_index=True, return_inverse=True, return_counts=True
    )
    means = np.zeros((len(numbers), found.vectors.shape[1]))
    np.add.at(means, place, found.vectors[listed.file_of_row[rows]])
    means /= count[:, None]
    sums = np.zeros((len(listed.templates), means.shape[1]))
    np.add.at(sums, template[first], means)
    norms = np.linalg.norm(sums, axis=1)
    made = norms > 0
    vectors: FloatArray = (sums / np.where(made, norms, 1.0)[:, None]).astype(np.float32)
    return Templates(vectors, made, listed.subject_numbers)


def read_template_pairs(path: Path, listed: TemplateList) -> LabelledPairs:
    """Comparisons of templates; the people of the list say which are mated.

    Args:
        path: CSV with the columns template_a and template_b.
        listed: the templates.

    Raises:
        DataError: a column or a template is missing, or a template is compared with itself.
    """
    table = read_table(path)
    a, b = (listed.places(table.column(name), path) for name in PAIR_COLUMNS)
    if np.any(a == b):
        raise table.fault("a template is paired with itself", np.flatnonzero(a == b).tolist())
    every = np.sort(np.stack([a, b], axis=1), axis=1).astype(np.int32)
    pairs = np.unique(every, axis=0)
    number = listed.subject_numbers
    double = len(every) - len(pairs)
    return LabelledPairs(
        f"{len(pairs):,} pairs of templates of the list {path.name}",
        listed.templates,
        pairs,
        np.asarray(number[pairs[:, 0]] == number[pairs[:, 1]]),
        listed.subjects,
        notes=(f"{double} duplicate pairs were counted once",) if double else (),
    )


def search_templates(
    templates: Templates, galleries: Sequence[IndexArray], asked: Asked
) -> tuple[SearchReport, ...]:
    """Search every gallery with all templates that are in none.

    Args:
        templates: of a list.
        galleries: (G,) rows of each gallery.
        asked: rates and seed.

    Raises:
        DataError: a gallery in which nobody could be enrolled, or one kind of search is missing.
    """
    probes = np.setdiff1d(np.arange(len(templates.subjects)), np.concatenate(galleries))
    return tuple(
        search_report(run_searches(templates.take(rows), templates.take(probes)), asked.fpirs, asked.plan)
        for rows in galleries
    )


@dataclass(frozen=True, slots=True)
class TemplateProtocol:
    """What to do with a list of templates.

    Attributes:
        listed: the templates.
        pairs: CSV of pairs for 1:1; None compares every pair, or a drawn part of millions.
        galleries: CSV files with a column ``template`` for 1:N, each searched and reported by itself; IJB-B and IJB-C
            have two.
    """

    listed: TemplateList
    pairs: Path | None
    galleries: tuple[Path, ...]


def measure_templates(
    protocol: TemplateProtocol,
    source: PictureSource,
    measured: Measured,
    asked: Asked,
    progress: Progress | None = None,
) -> OwnReport:
    """1:1 and 1:N over templates of several pictures.

    Args:
        protocol: templates, pairs and galleries.
        source: the pictures of the list.
        measured: the system.
        asked: rates and seed.
        progress: told after every batch.

    Raises:
        DataError: a list cannot be used, or pictures are missing.
    """
    listed = protocol.listed
    galleries = [_gallery(path, listed) for path in protocol.galleries]
    pairs = _pairs(protocol, asked.plan.seed)
    pairs.check_kinds()
    found = acquire_samples(listed.files, source, measured.acquisition, measured.space, progress)
    templates = pool_templates(found, listed)
    whole = replace(found, vectors=templates.vectors, acquired=templates.made)
    how = f"{len(listed.templates):,} templates, vectors averaged within media and over media; {measured.how}"
    digest = source.digest(listed.files)
    # calibrated thresholds are for single pictures: templates of several are more alike, also those of strangers
    report = report_of(
        pairs, whole, replace(measured, how=how, threshold=None), asked, (source.path.name, digest)
    )
    lost = int(np.count_nonzero(~templates.made))
    said = (f"{lost:,} templates have no picture that gave a face",) if lost else ()
    return replace(
        report,
        n_samples=len(listed.files),
        fta_rate=found.fta_rate,
        notes=(*report.notes, *said),
        searches=search_templates(templates, galleries, asked) if galleries else (),
    )


def _pairs(protocol: TemplateProtocol, seed: int) -> LabelledPairs:
    listed = protocol.listed
    if protocol.pairs is not None:
        return read_template_pairs(protocol.pairs, listed)
    pairs = people_pairs(People(listed.templates, listed.subjects, "", ()), seed)
    return replace(pairs, protocol=pairs.protocol.replace("pictures", "templates"))


def _gallery(path: Path, listed: TemplateList) -> IndexArray:
    table = read_table(path)
    return listed.places(tuple(dict.fromkeys(table.column(_find(table, "template")))), path)
