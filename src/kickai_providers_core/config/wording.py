"""How settings are told back to the one who wrote them: paths, what was found, and the nearest name."""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kickai_providers_core.values.plain_text import count

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["did_you_mean", "dotted", "found", "kind_of", "listed", "one_of"]

Path = tuple[str | int, ...]
"""Where a value stands: keys, and the positions in arrays."""

SHOWN = 32
"""Text up to this many characters is repeated in a message. Longer text is not: it may be a key in the wrong place."""

HUGE = 10**15
"""From here on a whole number is not repeated either: Python refuses to print the longest."""

LISTED = 30
"""So many names are listed in a message."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def dotted(path: Iterable[str | int]) -> str:
    """Return a path as TOML writes it: ``providers."my.tgi".timeout_s``, ``kickai.fallback[1]``."""
    told = ""
    for step in path:
        if isinstance(step, int):
            told += f"[{step}]"
            continue
        shown = step if len(step) <= SHOWN * 4 else f"{step[: SHOWN * 4]}…"
        key = shown if _BARE_KEY.fullmatch(shown) else json.dumps(shown, ensure_ascii=False)
        told += f".{key}" if told else key
    return told


def kind_of(value: object) -> str:
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


def found(value: object) -> str:
    """Return a value as a message shows it: short text and numbers themselves, anything else by its kind."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < HUGE):
        return str(value)
    if isinstance(value, str):
        return repr(str(value)) if len(value) <= SHOWN else f"a string of {count(len(value), 'character')}"
    return kind_of(value)


def one_of(names: Iterable[str]) -> str:
    """Return the names as "a, b or c"."""
    *most, last = [*names] or ["nothing"]
    return f"{', '.join(most)} or {last}" if most else last


def listed(names: Iterable[str]) -> str:
    """Return the names for a pair of brackets."""
    names = [*names]
    more = len(names) - LISTED
    shown = ", ".join(names[:LISTED])
    return f"{shown} and {more} more" if more > 0 else shown or "there is none"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the question after the nearest of the names, or nothing when none is near."""
    if len(name) > SHOWN * 2:  # whatever it is, it is no misspelt name, and comparing it would take long
        return ""
    spelt = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), spelt, n=1)
    return f"Did you mean '{spelt[near[0]]}'?" if near else ""
