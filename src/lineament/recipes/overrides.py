"""``--set a.b=value``: a configuration with some of its fields replaced, or every mistake at once."""

import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from lineament.core.errors import ConfigError

C = TypeVar("C")
_WORDS = {"true": True, "false": False, "yes": True, "no": False}


Wanted = dict[str, "str | Wanted"]


def override(config: C, settings: Sequence[str]) -> C:
    """A copy of a configuration with fields replaced.

    All of them are replaced at once, so that values which only go together may come in any order; of two values for
    one field the later one counts.

    Args:
        config: a frozen dataclass, nested to any depth.
        settings: "a.b=value"; the text is read as the field's type says: numbers, true/false, none, paths,
            comma-separated tuples, and ``settings.KEY`` of a mapping.

    Raises:
        ConfigError: an unknown field (names the nearest), a value of another type, or values that do not go
            together; lists all of them.
    """
    mistakes: list[str] = []
    wanted: Wanted = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            mistakes.append(f"{setting}: expected FIELD=VALUE")
        else:
            _plan(wanted, path.strip().split("."), text.strip(), mistakes)
    made: C = _replaced(config, wanted, "", mistakes)
    if mistakes:
        raise ConfigError("settings cannot be used: " + "; ".join(mistakes))
    return made


def _plan(wanted: Wanted, path: Sequence[str], text: str, mistakes: list[str]) -> None:
    """Put one value in its place in the tree of wanted values."""
    node = wanted
    for name in path[:-1]:
        child = node.setdefault(name, {})
        if isinstance(child, str):
            mistakes.append(f"{'.'.join(path)}: {name} is set to a value as well")
            return
        node = child
    if isinstance(node.get(path[-1]), dict):
        mistakes.append(f"{'.'.join(path)}: is set as a whole and field by field")
        return
    node[path[-1]] = text


def _replaced(node: Any, wanted: Wanted, above: str, mistakes: list[str]) -> Any:
    """A copy of a dataclass or mapping with the wanted values; mistakes are added to the list."""
    before = len(mistakes)
    if isinstance(node, Mapping):
        mistakes += [
            f"{above}{k}: has no fields of its own" for k, v in wanted.items() if not isinstance(v, str)
        ]
        return {**node, **{name: _guess(text) for name, text in wanted.items() if isinstance(text, str)}}
    hints = typing.get_type_hints(type(node))
    known = [f.name for f in fields(node)]
    changes = {}
    for name, value in wanted.items():
        whole = above + name
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0)
            mistakes.append(f"{whole}: there is no {name}; nearest is {near[0]}")
            continue
        present = getattr(node, name)
        if isinstance(value, str):
            changes[name] = _read(value, hints[name], whole, mistakes)
        elif is_dataclass(present) or isinstance(present, Mapping):
            changes[name] = _replaced(present, value, f"{whole}.", mistakes)
        else:
            mistakes.append(f"{whole}: {name} has no fields of its own")
    if len(mistakes) > before:
        return node
    try:
        return replace(node, **changes)
    except (ValueError, ConfigError) as error:
        mistakes.append(f"{above.rstrip('.') or 'configuration'}: {error}")
        return node


def _read(text: str, kind: Any, whole: str, mistakes: list[str]) -> Any:
    """Text as a value of a type; None and a mistake when it is none."""
    origin, choices = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if type(None) in choices and text.lower() == "none":
            return None
        return _read(text, next(c for c in choices if c is not type(None)), whole, mistakes)
    if origin is typing.Literal:
        if text not in choices:
            mistakes.append(f"{whole}: expected one of {', '.join(map(str, choices))}, got {text!r}")
        return text
    if origin is tuple:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return tuple(_read(part, choices[0], whole, mistakes) for part in parts)
    return _plain(text, kind, whole, mistakes)


def _plain(text: str, kind: Any, whole: str, mistakes: list[str]) -> bool | int | float | str | Path | None:
    """Text as a word, a number, a string or a path."""
    if kind is bool:
        if text.lower() not in _WORDS:
            mistakes.append(f"{whole}: expected true or false, got {text!r}")
        return _WORDS.get(text.lower())
    if kind not in (int, float, str, Path):
        mistakes.append(f"{whole}: set its fields one by one ({whole}.FIELD=VALUE)")
        return None
    try:
        made: int | float | str | Path = kind(text)
    except ValueError:
        mistakes.append(f"{whole}: expected a number ({kind.__name__}), got {text!r}")
        return None
    return made


def _guess(text: str) -> int | float | str:
    """A value of a mapping, whose type nothing tells: a number when it reads as one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
