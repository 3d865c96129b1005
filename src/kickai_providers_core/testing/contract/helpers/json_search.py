"""Finds values in a JSON document whose form the kit does not know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

__all__ = ["Leaf", "count_numbers", "find_leaves", "find_subtree", "find_text", "list_words", "show"]

SHOWN = 1500
"""The maximum length of a document in a message, in characters."""


@frozen
class Leaf:
    """A value that is neither an object nor a list.

    Attributes:
        path: The keys and the indexes that lead to it.
        value: The value.
        around: What contains it, from the innermost object or list to the document.
    """

    path: tuple[str | int, ...]
    value: Any
    around: tuple[Any, ...]

    @property
    def key(self) -> str:
        """The innermost key."""
        return next((step for step in reversed(self.path) if isinstance(step, str)), "")


def find_leaves(document: Any) -> list[Leaf]:
    """Return the leaves of a document, in order."""

    def walk(value: Any, path: tuple[str | int, ...], around: tuple[Any, ...]) -> Iterator[Leaf]:
        if isinstance(value, dict):
            for key, child in value.items():
                yield from walk(child, (*path, key), (value, *around))
        elif isinstance(value, list):
            for place, child in enumerate(value):
                yield from walk(child, (*path, place), (value, *around))
        else:
            yield Leaf(path, value, around)

    return list(walk(document, (), ()))


def find_text(document: Any, text: str) -> Leaf | None:
    """Return the first leaf that contains a text; None when there is none."""
    return next((leaf for leaf in find_leaves(document) if isinstance(leaf.value, str) and text in leaf.value), None)


def count_numbers(document: Any, number: float) -> int:
    """Return how often a number occurs; True and False are not numbers."""
    return sum(
        1
        for leaf in find_leaves(document)
        if isinstance(leaf.value, int | float) and not isinstance(leaf.value, bool) and leaf.value == number
    )


def find_subtree(document: Any, wanted: Any) -> bool:
    """Return whether a value occurs in a document as it is, or as JSON text."""
    if isinstance(document, str) and document.lstrip()[:1] in {"{", "["}:
        try:
            return find_subtree(json.loads(document), wanted)
        except ValueError:
            return False
    if _is_same(document, wanted):
        return True
    children = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return any(find_subtree(child, wanted) for child in children)


def _is_same(value: Any, wanted: Any) -> bool:
    """Return whether two JSON values are equal; 1 is 1.0, but not true."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, dict) and isinstance(wanted, dict):
        return value.keys() == wanted.keys() and all(_is_same(value[key], wanted[key]) for key in value)
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(_is_same, value, wanted))
    return bool(value == wanted)


def list_words(value: Any, *, skip: frozenset[str] = frozenset()) -> list[str]:
    """Return the keys and texts of a JSON value, except those below some keys."""
    if isinstance(value, Mapping):
        own = [key for key in value if key not in skip]
        return [*own, *(word for key in own for word in list_words(value[key], skip=skip))]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [word for child in value for word in list_words(child, skip=skip)]
    return [value] if isinstance(value, str) else []


def show(document: Any) -> str:
    """Return a document as text for a message, cut when it is long."""
    text = json.dumps(document, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"
