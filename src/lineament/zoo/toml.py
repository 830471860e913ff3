"""TOML documents; the standard library only reads them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any


def toml_value(value: Any) -> str:
    """A string, number, truth value or list of them as TOML; JSON writes these in a way that TOML reads."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")


def toml_document(fields: Mapping[str, Any]) -> str:
    """A document of values, tables and lists of tables, nested as deep as needed.

    Args:
        fields: plain values, lists of plain values, mappings, and lists of mappings; keys are bare TOML keys
            (ASCII letters, digits, "_" and "-") or are quoted.

    Raises:
        ValueError: a number that is not finite.
    """
    return "\n".join(_lines(fields, ())).strip("\n") + "\n"


def _lines(fields: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Plain values first: after a table's heading they would belong to that table."""
    later: list[tuple[str, Mapping[str, Any], bool]] = []
    for key, value in fields.items():
        if isinstance(value, Mapping):
            later.append((key, value, False))
        elif isinstance(value, list | tuple) and value and all(isinstance(v, Mapping) for v in value):
            later += [(key, item, True) for item in value]
        else:
            yield f"{_key(key)} = {toml_value(value)}"
    for key, table, repeated in later:
        inner = (*path, _key(key))
        heading = ".".join(inner)
        yield from ("", f"[[{heading}]]" if repeated else f"[{heading}]")
        yield from _lines(table, inner)


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else toml_value(key)
