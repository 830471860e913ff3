"""CSV files that users bring: a header, rows of equal length, and the number of each line for messages."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lineament.core.errors import DataError

NAMED = 5
"""Most lines or names that one message lists."""


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file.

    Attributes:
        path: where it came from, for messages.
        columns: names, each once.
        rows: one text for each column, without surrounding white space.
        lines: line of each row in the file, from 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> tuple[str, ...]:
        """Values of a column.

        Raises:
            DataError: no such column; names those there are.
        """
        if name not in self.columns:
            raise DataError(f"{self.path}: expected a column {name!r}, found {', '.join(self.columns)}")
        place = self.columns.index(name)
        return tuple(row[place] for row in self.rows)

    def fault(self, what: str, rows: Sequence[int]) -> DataError:
        """An error that names lines.

        Args:
            what: what is wrong with them.
            rows: places of faulty rows.
        """
        some = ", ".join(str(self.lines[row]) for row in rows[:NAMED])
        more = " and others" if len(rows) > NAMED else ""
        return DataError(f"{self.path}: {what} ({len(rows)} of {len(self.rows)} rows: line {some}{more})")

    def seen(self) -> str:
        """What the columns hold, for messages: names with the first value of each."""
        first = self.rows[0] if self.rows else ("",) * len(self.columns)
        return ", ".join(f"{name} (like {value!r})" for name, value in zip(self.columns, first, strict=True))


def read_table(path: Path) -> Table:
    """Read a CSV file with a header; fields are separated by commas, or by semicolons or tabs if there is no comma.

    Args:
        path: the file, UTF-8.

    Raises:
        DataError: it cannot be read, has no row, names a column twice or has rows of another length.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        header = text.partition("\n")[0]
        separator = next((mark for mark in ",;\t" if mark in header), ",")
        reader = csv.reader(text.splitlines(), delimiter=separator, strict=True)
        found = [(reader.line_num, tuple(field.strip() for field in row)) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV file in UTF-8: {error}") from error
    found = [(line, row) for line, row in found if any(row)]
    if len(found) < 2:
        raise DataError(f"{path}: expected a header and at least one row, got {len(found)} lines")
    columns = found[0][1]
    if len(set(columns)) != len(columns) or not all(columns):
        raise DataError(f"{path}: expected a header that names each column once, got {', '.join(columns)}")
    table = Table(path, columns, tuple(row for _, row in found[1:]), tuple(line for line, _ in found[1:]))
    wrong = [i for i, row in enumerate(table.rows) if len(row) != len(columns)]
    if wrong:
        raise table.fault(f"expected {len(columns)} fields as in the header", wrong)
    return table
