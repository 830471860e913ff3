"""What lies beside a pack: ``pack.toml`` with counts, source, terms and digest; lists of records and of pairs."""

import csv
import hashlib
import io
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from lineament.core.errors import DataError

Format = Literal["folder", "zip", "rec", "tfrecord", "tar", "bin"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""Every format that is read and written."""
INFO, RECORDS, PAIRS = "pack.toml", "records.csv", "pairs.csv"
PAIR_COLUMNS = ("file_a", "file_b", "label")
SCHEMA = 1
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where pictures come from and what may be done with them.

    Attributes:
        source: publisher, address, version; free text.
        terms: licence or terms of use; free text.
    """

    source: str = ""
    terms: str = ""


@dataclass(frozen=True, slots=True)
class PackInfo:
    """The content of a ``pack.toml``.

    Attributes:
        format: format of the pack.
        records: number of records.
        subjects: number of subjects.
        sha256: digest of the records in their order, see :class:`Digest`; the same in every format.
        origin: source and terms.
        subject_names: name of each subject; empty when numbers are their names.
    """

    format: Format
    records: int
    subjects: int
    sha256: str
    origin: Origin = Origin()
    subject_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}")
        for name in ("records", "subjects"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} must be a number from 0 on, got {value!r}")
        if not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"sha256 must be 64 hexadecimal digits, got {self.sha256!r}")
        if self.subject_names and len(self.subject_names) != self.subjects:
            raise ValueError(f"expected {self.subjects} subject_names, got {len(self.subject_names)}")
        words = (self.origin.source, self.origin.terms, *self.subject_names)
        wrong = [word for word in words if not isinstance(word, str)]
        if wrong:
            raise ValueError(f"source, terms and subject_names must be text, got {wrong[0]!r}")

    def to_toml(self) -> str:
        """The text of the file."""
        lines = [
            f"schema = {SCHEMA}",
            f"format = {_quoted(self.format)}",
            f"records = {self.records}",
            f"subjects = {self.subjects}",
            f"source = {_quoted(self.origin.source)}",
            f"terms = {_quoted(self.origin.terms)}",
            f"sha256 = {_quoted(self.sha256)}",
        ]
        if self.subject_names:
            lines += ["subject_names = [", *(f"  {_quoted(name)}," for name in self.subject_names), "]"]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str) -> "PackInfo":
        """Read the text of a file.

        Raises:
            ValueError: it is no TOML, a key is missing or unknown, or a value is not what it should be.
        """
        found: dict[str, Any] = tomllib.loads(text)
        keys = {"schema", "format", "records", "subjects", "source", "terms", "sha256"}
        if not keys <= set(found) <= keys | {"subject_names"}:
            raise ValueError(f"expected the keys {', '.join(sorted(keys))}, got {', '.join(sorted(found))}")
        if found["schema"] != SCHEMA:
            raise ValueError(f"expected schema {SCHEMA}, got {found['schema']!r}; a later version wrote it")
        names = found.get("subject_names", [])
        if not isinstance(names, list):
            raise ValueError(  # noqa: TRY004 - a value of the file, no argument
                f"subject_names must be a list, got {type(names).__name__}"
            )
        return cls(
            found["format"],
            found["records"],
            found["subjects"],
            found["sha256"],
            Origin(found["source"], found["terms"]),
            tuple(names),
        )


class Digest:
    """Digest of a pack's content: sha256 over ``name, subject, sha256 of the picture`` of each record in order.

    The three are separated by tabs, the line ends with a line feed; an unknown subject is empty. It does not depend
    on the format.
    """

    def __init__(self) -> None:
        self._total = hashlib.sha256()

    def add(self, name: str, subject: str, image: bytes) -> None:
        """Take the next record."""
        self.add_digest(name, subject, hashlib.sha256(image).hexdigest())

    def add_digest(self, name: str, subject: str, sha256: str) -> None:
        """Take the next record by the digest of its picture."""
        self._total.update(f"{name}\t{subject}\t{sha256}\n".encode())

    def hex(self) -> str:
        """The digest of what was taken so far."""
        return self._total.hexdigest()


def beside(path: Path, name: str) -> Path:
    """Where the file ``name`` of a pack lies: inside of a folder, else beside it with its name in front."""
    return path / name if path.is_dir() else path.with_name(f"{path.name}.{name}")


def _quoted(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_table(text: str, columns: Sequence[str]) -> list[list[str]]:
    """Rows of a CSV with a header.

    Args:
        text: the file.
        columns: the header that it must have.

    Raises:
        DataError: another header, or a row with more or fewer cells; gives the row.
    """
    rows: Iterator[list[str]] = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(rows, [])
        if header != list(columns):
            raise DataError(f"expected the columns {','.join(columns)}, got {','.join(header)}")
        found = list(rows)
    except csv.Error as error:
        raise DataError(f"is no CSV: {error}") from error
    for number, row in enumerate(found):
        if len(row) != len(columns):
            raise DataError(f"row {number}: expected {len(columns)} cells, got {len(row)}")
    return found
