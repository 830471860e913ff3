"""Finds what should not be in packs: damage, pictures that are there twice, people who must not be in two of them."""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lineament.core.errors import DataError
from lineament.packs.base import UNKNOWN, Fault
from lineament.packs.filepack import FilePack
from lineament.packs.info import Digest
from lineament.packs.selection import Progress

_NO_LETTERS = re.compile(r"[\W_]+")
_SHA256_BYTES = 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture lies.

    Attributes:
        pack: number of the pack among those that are checked.
        record: number of the record.
        name: of the record.
        subject: its name; None when it is unknown.
    """

    pack: int
    record: int
    name: str
    subject: str | None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """One picture that is there several times, byte for byte.

    Attributes:
        sha256: of the picture.
        places: where it lies; two or more.
    """

    sha256: str
    places: tuple[Place, ...]

    @property
    def in_two_packs(self) -> bool:
        """True when it lies in more than one pack."""
        return len({place.pack for place in self.places}) > 1

    @property
    def of_two_subjects(self) -> bool:
        """True when one pack has it under two subjects: one of them is wrong, or both are one person."""
        subjects = {(place.pack, place.subject) for place in self.places if place.subject is not None}
        return len(subjects) > len({pack for pack, _ in subjects})


@dataclass(frozen=True, slots=True)
class SharedSubject:
    """One name of a person that is in several packs or lists.

    Attributes:
        name: as :func:`plain_name` writes it.
        spellings: place ("pack 0", or the name of a list) to how it is written there.
    """

    name: str
    spellings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found.

    Attributes:
        records: records of each pack.
        faults: number of the pack and what is wrong with it.
        duplicates: pictures that are there twice or more, in the order of their first place.
        shared: people whose name is in two packs, or in a pack and a list.
    """

    records: tuple[int, ...]
    faults: tuple[tuple[int, Fault], ...]
    duplicates: tuple[Duplicate, ...]
    shared: tuple[SharedSubject, ...]

    @property
    def is_clean(self) -> bool:
        """True when nothing was found."""
        return not (self.faults or self.duplicates or self.shared)


def check_packs(
    packs: Sequence[FilePack],
    lists: Mapping[str, Sequence[str]] | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Reads everything once, compares digests of pictures and names of people.

    Held in memory are 32 bytes a picture. The same pixels in other bytes are not found here.

    Args:
        packs: one or more.
        lists: name of a list to names of people who must be in none of the packs.
        progress: told how far it is.
    """
    faults = [(number, fault) for number, pack in enumerate(packs) for fault in pack.faults]
    total = sum(map(len, packs))
    digests = np.zeros((total, _SHA256_BYTES), np.uint8)
    sound = np.zeros(total, np.bool_)
    done = 0
    for number, pack in enumerate(packs):
        content = Digest()
        for index in range(len(pack)):
            try:
                record = pack.read(index)
            except DataError as error:
                faults.append((number, Fault(index, str(error))))
            else:
                sha256 = hashlib.sha256(record.image)
                digests[done] = np.frombuffer(sha256.digest(), np.uint8)
                sound[done] = True
                subject = "" if record.label == UNKNOWN else pack.subjects[record.label]
                content.add_digest(record.name, subject, sha256.hexdigest())
            done += 1
            if progress is not None:
                progress(done, total)
        if pack.info is not None and content.hex() != pack.info.sha256:
            faults.append(
                (number, Fault(None, "names, subjects or pictures are not those that pack.toml was made of"))
            )
    duplicates = _duplicates(packs, digests, sound)
    return CheckReport(tuple(map(len, packs)), tuple(faults), duplicates, shared_subjects(packs, lists or {}))


def _duplicates(
    packs: Sequence[FilePack], digests: NDArray[np.uint8], sound: NDArray[np.bool_]
) -> tuple[Duplicate, ...]:
    """Groups of equal digests; the sort looks at 8 of the 32 bytes, the groups at all."""
    rows = np.flatnonzero(sound)
    short = np.ascontiguousarray(digests[rows, :8]).view(np.uint64).ravel()
    order = np.argsort(short, kind="stable")
    same = short[order][1:] == short[order][:-1]
    groups: dict[bytes, list[int]] = defaultdict(list)
    for at in np.flatnonzero(np.r_[same, False] | np.r_[False, same]).tolist() if len(rows) else []:
        row = int(rows[order[at]])
        groups[digests[row].tobytes()].append(row)
    firsts = np.cumsum([0, *map(len, packs)])
    found = []
    for digest, members in sorted(groups.items(), key=lambda item: min(item[1])):
        if len(members) > 1:
            places = tuple(_place(packs, firsts, row) for row in sorted(members))
            found.append(Duplicate(digest.hex(), places))
    return tuple(found)


def _place(packs: Sequence[FilePack], firsts: NDArray[np.int64], row: int) -> Place:
    number = int(np.searchsorted(firsts, row, side="right")) - 1
    index = row - int(firsts[number])
    pack = packs[number]
    label = int(pack.labels[index])
    return Place(number, index, pack.names[index], None if label == UNKNOWN else pack.subjects[label])


def plain_name(name: str) -> str:
    """A person's name for comparisons: without accents, case, and all that is no letter or digit ("ada lovelace").

    What joined packs put in front ("celeba/Ada_Lovelace") is no part of it.
    """
    person = name.rpartition("/")[2]
    base = "".join(c for c in unicodedata.normalize("NFKD", person) if not unicodedata.combining(c))
    return _NO_LETTERS.sub(" ", base.casefold()).strip()


def shared_subjects(
    packs: Sequence[FilePack], lists: Mapping[str, Sequence[str]]
) -> tuple[SharedSubject, ...]:
    """People whose names are in two packs, or in a pack and a list; numbers are no names.

    Args:
        packs: those with records count.
        lists: name of a list to its names.
    """
    seen: dict[str, dict[str, str]] = defaultdict(dict)
    for number, pack in enumerate(packs):
        labels = np.unique(pack.labels[pack.labels != UNKNOWN]).tolist()
        _note(seen, f"pack {number}", (pack.subjects[label] for label in labels))
    in_packs = set(seen)
    for where, names in lists.items():
        _note(seen, where, names)
    return tuple(SharedSubject(name, seen[name]) for name in sorted(in_packs) if len(seen[name]) > 1)


def _note(seen: Mapping[str, dict[str, str]], where: str, names: Iterable[str]) -> None:
    for name in names:
        plain = plain_name(name)
        if plain and not plain.replace(" ", "").isdigit():
            seen[plain].setdefault(where, name)


def read_names(path: Path) -> tuple[str, ...]:
    """Names of people from a text file: the tab-separated fields of its lines that are no numbers.

    One name a line will do, and so will the lists of LFW (``lfw-names.txt``, ``people.txt``, ``pairs.txt``).

    Raises:
        DataError: it cannot be read, or holds no name.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"list of names {path} cannot be read: {error}") from error
    fields = (field.strip() for line in lines for field in line.split("\t"))
    names = tuple(dict.fromkeys(field for field in fields if field and not field.isdigit()))
    if not names:
        raise DataError(f"list of names {path} holds no name")
    return names
