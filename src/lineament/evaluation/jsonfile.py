"""Reports as JSON: one way to write a dataclass, one to read it back as an equal value."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from lineament.core.errors import DataError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
_NUMBER_LIST = re.compile(r"\[\n([^\[\]{}\"]*)\n *\]")


def _plain(value: Any) -> Any:
    """``value`` with infinities as text, for which JSON has no number."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _text(document: Any) -> str:
    """Indented JSON, with every list of plain numbers on one line."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    # A line break inside a JSON string is escaped, so the expression can only meet lists.
    return _NUMBER_LIST.sub(lambda found: "[" + " ".join(found[1].split()) + "]", text) + "\n"


def dump_report(report: "DataclassInstance") -> str:
    """A report as indented JSON; infinite thresholds become "Infinity".

    Args:
        report: a dataclass of numbers, strings, dicts, tuples and further dataclasses.
    """
    return _text(_plain(asdict(report)))


def dump_reports(reports: "Sequence[DataclassInstance]") -> str:
    """Several reports as one indented JSON list, each as :func:`dump_report` writes it."""
    return _text([_plain(asdict(report)) for report in reports])


def load_report(kind: type[T], text: str) -> T:
    """The report that :func:`dump_report` wrote.

    Args:
        kind: its dataclass.
        text: the JSON document.

    Raises:
        DataError: not JSON, or not such a report; all faults are listed.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(json.loads(text))
    except json.JSONDecodeError as error:
        raise DataError(f"expected a {kind.__name__} as JSON: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DataError(f"expected a {kind.__name__}, {error.error_count()} faults: {faults}") from error
