"""How messages about settings describe paths, values, types, and the nearest name."""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import attrs

from kickai_providers_core.values.plain_text import clean_line, format_count
from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from attrs import Attribute

__all__ = [
    "Path",
    "describe_bounds",
    "describe_hint",
    "describe_kind",
    "describe_validation_error",
    "describe_value",
    "format_path",
    "is_secret_type",
    "join_names",
    "join_options",
    "suggest_name",
]

Path = tuple[str | int, ...]
"""The path of a value: keys, and positions in arrays."""

MAX_QUOTED = 32
"""The longest text that a message quotes. Longer text may be a key in the wrong place."""

MAX_INTEGER = 10**15
"""Integers from here on are not printed: Python refuses to print very long ones."""

MAX_NAMES = 30
"""The most names that a message lists."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

_TYPES: dict[Any, str] = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    Secret: 'a string, { env = "NAME" }, { keyring = "service/username" } or { file = "path" }',
    Target: "'instance' or 'instance:model'",
    Mapping: "a table",
    dict: "a table",
    tuple: "an array",
    list: "an array",
    frozenset: "an array",
    Sequence: "an array",
}

_BOUND = re.compile(r"for x (>=|>|<=|<) ([^\s>]+)>")
_RANGES = {
    (">=",): "of at least {}",
    (">",): "greater than {}",
    ("<=",): "of at most {}",
    ("<",): "less than {}",
    (">=", "<="): "between {} and {}",
    (">=", "<"): "of at least {} and less than {}",
    (">", "<="): "greater than {} and at most {}",
    (">", "<"): "greater than {} and less than {}",
}


def format_path(path: Iterable[str | int]) -> str:
    """Return a path as TOML writes it: ``providers."my.tgi".timeout_s``, ``kickai.fallback[1]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        limit = MAX_QUOTED * 4
        key = step if len(step) <= limit else f"{step[:limit]}…"
        key = key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
        text += f".{key}" if text else key
    return text


def describe_kind(value: object) -> str:
    """Return what a value is, without the value itself."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple | set | frozenset):
        return "an array" if value else "an empty array"
    if isinstance(value, dt.date | dt.time):
        return "a date or time"
    return "None" if value is None else f"a value of type {type(value).__name__}"


def describe_value(value: object) -> str:
    """Return short text and numbers as they are, and the kind of anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value) if isinstance(value, float) or abs(value) < MAX_INTEGER else "a very large number"
    if isinstance(value, str):
        return repr(str(value)) if len(value) <= MAX_QUOTED else f"a string of {format_count(len(value), 'character')}"
    return describe_kind(value)


def describe_hint(hint: Any) -> str:
    """Return what a type accepts: ``an integer``, ``'never' or 'backoff'``."""
    origin = get_origin(hint)
    if origin is Literal:
        return join_options(map(describe_value, get_args(hint)))
    if origin in {Union, UnionType}:
        return join_options(describe_hint(option) for option in get_args(hint) if option is not NoneType)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return join_options(describe_value(member.value) for member in hint)
    if hint not in _TYPES and attrs.has(hint):
        return "a table"
    return _TYPES.get(origin or hint) or f"a value of type {getattr(hint, '__name__', hint)}"


def is_secret_type(hint: Any) -> bool:
    """Return whether values of a type may be or contain secrets, which no message quotes."""
    return hint is Secret or any(map(is_secret_type, get_args(hint)))


def describe_bounds(field: Attribute[Any]) -> str:
    """Return the bounds that a field's validators set, such as ``between 0 and 2``; empty when there are none.

    They are parsed from the repr of the validators, since attrs shows them nowhere else.
    """
    bounds = {sign: f"{float(bound):g}" for sign, bound in _BOUND.findall(repr(field.validator))}
    signs = sorted(bounds, reverse=True)
    return _RANGES.get((*signs,), "").format(*(bounds[sign] for sign in signs))


def describe_validation_error(error: Exception, value: object) -> str:
    """Return the message of a validator, without the value when that is long text."""
    message = str(error.args[0]) if error.args else f"{type(error).__name__} was raised"
    return message.replace(value, "…") if isinstance(value, str) and len(value) > MAX_QUOTED else message


def join_options(names: Iterable[str]) -> str:
    """Return the names as "a, b or c"."""
    *first, last = [*names] or ["nothing"]
    return f"{', '.join(first)} or {last}" if first else last


def join_names(names: Iterable[str]) -> str:
    """Return the names with commas: at most `MAX_NAMES` of them, or "none"."""
    names = [*names]
    more = len(names) - MAX_NAMES
    text = ", ".join(clean_line(name, MAX_QUOTED) for name in names[:MAX_NAMES])
    return f"{text} and {more} more" if more > 0 else text or "none"


def suggest_name(name: str, names: Iterable[str]) -> str:
    """Return "Did you mean …?" with the nearest of the names, or nothing when none is near."""
    if len(name) > MAX_QUOTED * 2:  # too long for a misspelled name, and slow to compare
        return ""
    by_lower_case = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f"Did you mean '{by_lower_case[near[0]]}'?" if near else ""
