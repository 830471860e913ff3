"""Dresses the records that a reader found with what lies beside the pack: names, subjects, pairs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lineament.core.errors import DataError
from lineament.packs.base import UNKNOWN, Fault, LabelArray, Pairs, name_fault, text_fault
from lineament.packs.filepack import MAX_LABEL, Found, GeneratedNames, Index, NumberedSubjects
from lineament.packs.info import INFO, PAIR_COLUMNS, PAIRS, RECORDS, PackInfo, beside, read_table

SAME, DIFFERENT = "same", "different"


def dressed(
    path: Path,
    found: Found,
    total: int,
    *,
    columns: Sequence[str] = (),
    own_names: Sequence[str | None] | None = None,
    classes: int = 0,
) -> Index:
    """The index of a pack whose format cannot say everything.

    Args:
        path: the pack.
        found: its records.
        total: number of records that its file holds or held, readable or not.
        columns: what ``records.csv`` beside it says of each record: "name", or "name" and "label".
        own_names: names that the format itself holds; None for a record without one.
        classes: number of subjects that the format itself tells; 0 when it does not.
    """
    faults = list(found.faults)
    info = info_beside(path, total, faults)
    labels, numbers = found.label_array(), found.number_array()
    needed = max(total, int(numbers.max(initial=-1)) + 1)
    rows = _rows(path, columns, (total, needed), faults) if columns else None
    if rows is not None and "label" in columns:
        labels = np.array(
            [parse_label(rows[n][columns.index("label")], n, faults) for n in found.numbers], np.int64
        )
    generated = GeneratedNames(numbers, labels, found.suffixes)
    told = own_names if rows is None else [rows[n][columns.index("name")] for n in found.numbers]
    names = generated if told is None else sound_names(told, generated, found.numbers, faults)
    subjects = subjects_of(info, labels, classes, faults)
    pairs = pairs_beside(path, names, faults)
    return Index(names, labels, subjects, tuple(faults), pairs, info)


def read_text(path: Path) -> str | None:
    """The text of a small file; None when it is not there.

    Raises:
        DataError: it is there and cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def info_beside(path: Path, total: int, faults: list[Fault]) -> PackInfo | None:
    """What ``pack.toml`` says; what is wrong with it is added to ``faults``."""
    where = beside(path, INFO)
    try:
        text = read_text(where)
        info = None if text is None else PackInfo.from_toml(text)
    except (DataError, ValueError) as error:
        faults.append(Fault(None, f"{where.name}: {error}; correct or delete it"))
        return None
    if info is not None and info.records != total:
        faults.append(Fault(None, f"{where.name} says {info.records} records, the pack holds {total}"))
    return info


def _rows(
    path: Path, columns: Sequence[str], counts: tuple[int, int], faults: list[Fault]
) -> list[list[str]] | None:
    """The rows of ``records.csv``; None without it, or when it has none for the last records.

    Args:
        path: the pack.
        columns: of the list.
        counts: records that the pack holds, and rows that their numbers need.
        faults: grows by what is wrong with the list.
    """
    total, needed = counts
    where = beside(path, RECORDS)
    try:
        text = read_text(where)
        rows = None if text is None else read_table(text, columns)
    except DataError as error:
        faults.append(Fault(None, f"{where.name}: {error}; correct or delete it"))
        return None
    if rows is not None and len(rows) != total:
        faults.append(Fault(None, f"{where.name} lists {len(rows)} records, the pack holds {total}"))
    return rows if rows is not None and len(rows) >= needed else None


def parse_label(text: str, number: int, faults: list[Fault]) -> int:
    """A label as lists write it; another text counts as unknown and is a fault."""
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 11:
        label = int(text)
        if UNKNOWN <= label <= MAX_LABEL:
            return label
    faults.append(Fault(number, f"expected a label from -1 to {MAX_LABEL}, got {text[:40]!r}"))
    return UNKNOWN


def sound_names(
    told: Sequence[str | None], generated: Sequence[str], numbers: Sequence[int], faults: list[Fault]
) -> list[str]:
    """The names that a pack tells, with a made-up one for each that is missing, no sound name, or taken.

    Args:
        told: (N) names; None for a missing one.
        generated: (N) names to fall back on.
        numbers: (N) numbers of the records in their file, for faults.
        faults: grows by one for each name that cannot be used.
    """
    names: list[str] = []
    seen: set[str] = set()
    for i, name in enumerate(told):
        fault = None if name is None else name_fault(name)
        if name is not None and fault is None and name in seen:
            fault = f"name {name!r} is taken by a record before"
        if fault is not None:
            faults.append(Fault(numbers[i], f"{fault}; it is called {generated[i]!r} here"))
        chosen = generated[i] if name is None or fault is not None else name
        while chosen in seen:
            chosen = f"other/{chosen}"
        seen.add(chosen)
        names.append(chosen)
    return names


def subjects_of(
    info: PackInfo | None, labels: LabelArray, classes: int, faults: list[Fault]
) -> Sequence[str]:
    """Names of the subjects: from ``pack.toml`` where it names enough of them, else their numbers."""
    needed = int(labels.max(initial=UNKNOWN)) + 1
    if info is None:
        return NumberedSubjects(max(needed, classes))
    if info.subjects < needed:
        faults.append(Fault(None, f"{INFO} says {info.subjects} subjects, but there is a label {needed - 1}"))
        return NumberedSubjects(needed)
    wrong = next((fault for name in info.subject_names if (fault := text_fault(name))), None)
    if wrong is not None:
        faults.append(Fault(None, f"{INFO}, subject_names: {wrong}"))
        return NumberedSubjects(info.subjects)
    return info.subject_names or NumberedSubjects(info.subjects)


def pairs_beside(path: Path, names: Sequence[str], faults: list[Fault]) -> Pairs | None:
    """The comparisons of ``pairs.csv`` as far as their pictures are there; None without the file."""
    where = beside(path, PAIRS)
    try:
        text = read_text(where)
        return None if text is None else parse_pairs(text, names, faults)
    except DataError as error:
        faults.append(Fault(None, f"{where.name}: {error}; correct or delete it"))
        return None


def parse_pairs(text: str, names: Sequence[str], faults: list[Fault]) -> Pairs:
    """The comparisons of a ``pairs.csv``: two names and "same" or "different" in each row.

    Args:
        text: the file.
        names: names of the records.
        faults: grows by one for each pair that cannot be used.

    Raises:
        DataError: no such list.
    """
    place = {name: i for i, name in enumerate(names)}
    records, mated = [], []
    for row, (a, b, answer) in enumerate(read_table(text, PAIR_COLUMNS)):
        if a not in place or b not in place:
            faults.append(Fault(None, f"pair {row}: there is no record {b if a in place else a!r}"))
        elif answer not in {SAME, DIFFERENT}:
            faults.append(Fault(None, f"pair {row}: expected {SAME} or {DIFFERENT}, got {answer[:40]!r}"))
        else:
            records.append((place[a], place[b]))
            mated.append(answer == SAME)
    return Pairs(np.array(records, np.int64).reshape(-1, 2), np.array(mated, np.bool_))
