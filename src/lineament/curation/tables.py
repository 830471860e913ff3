"""What the checks found, as CSV for spreadsheets and programs."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from lineament.core.errors import DataError
from lineament.curation.align import Refused
from lineament.curation.duplicates import Duplicate
from lineament.curation.noise import Noise
from lineament.curation.people import SubjectPair
from lineament.packs import Pack
from lineament.zoo.files import write_atomic


def subject_of(pack: Pack, record: int) -> str:
    """Name of the subject of a record; empty when the pack does not tell."""
    label = int(pack.labels[record])
    return pack.subjects[label] if label >= 0 else ""


def write_refusals(path: Path, refusals: Sequence[Refused]) -> None:
    """Photos that gave no crop.

    Raises:
        DataError: the file cannot be written.
    """
    rows = [(r.name, r.subject, str(r.reason), r.detail) for r in refusals]
    _write(path, ("name", "subject", "reason", "detail"), rows)


def write_suspects(path: Path, pack: Pack, noise: Noise) -> None:
    """Pictures that look unlike their subject, least similar first.

    Raises:
        DataError: the file cannot be written.
    """
    rows = [
        (
            pack.names[s.record],
            subject_of(pack, s.record),
            f"{s.similarity:.4f}",
            pack.subjects[s.rival] if s.rival >= 0 else "",
            f"{s.rival_similarity:.4f}",
        )
        for s in noise.suspects
    ]
    _write(path, ("name", "subject", "similarity", "most_similar_other", "similarity_to_other"), rows)


def write_duplicates(path: Path, packs: tuple[Pack, Pack], duplicates: Sequence[Duplicate]) -> None:
    """Photos that are there twice, most similar first.

    Raises:
        DataError: the file cannot be written.
    """
    one, other = packs
    rows = [
        (
            one.names[d.first],
            subject_of(one, d.first),
            other.names[d.second],
            subject_of(other, d.second),
            f"{d.similarity:.4f}",
            f"{d.difference:.2f}",
        )
        for d in duplicates
    ]
    columns = ("name_a", "subject_a", "name_b", "subject_b", "similarity", "difference")
    _write(path, columns, rows)


def write_people(path: Path, packs: tuple[Pack, Pack], pairs: Sequence[SubjectPair]) -> None:
    """Subjects that may be one person, most similar first.

    Raises:
        DataError: the file cannot be written.
    """
    one, other = packs
    rows = [
        (
            one.subjects[p.first],
            other.subjects[p.second],
            f"{p.similarity:.4f}",
            one.names[p.first_record],
            other.names[p.second_record],
            f"{p.best_similarity:.4f}",
        )
        for p in pairs
    ]
    columns = ("subject_a", "subject_b", "similarity", "name_a", "name_b", "best_similarity")
    _write(path, columns, rows)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    try:
        write_atomic(path, text.getvalue().encode())
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}; choose a folder that has room") from error
