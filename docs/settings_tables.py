"""Renders the settings classes as tables: each key with type, default, range and meaning, from the code alone."""
# ruff: noqa: INP001

from __future__ import annotations

import inspect
import re
import typing
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any

import attrs

from kickai_providers_core.config.settings import Settings
from kickai_providers_core.plugin_api.settings import ProviderSettings, resolve_type_hints
from kickai_providers_core.resilience.policy import Rule
from kickai_providers_core.values.validation import Number, OneOf

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["render_settings"]

ENTRY = re.compile(r"^    (\w+): (.*(?:\n {8,}.*)*)", re.MULTILINE)
RULE = "see [Errors](errors.md#what-follows-from-each-error)"

BOUND = re.compile(r"for x (>=|>|<=|<) ([^\s>]+)>")
SIGNS = {">=": "at least", ">": "above", "<=": "at most", "<": "below"}


def render_settings() -> str:
    """Return a section for each table, in Markdown."""
    parts = ["", *_render_table("providers.NAME", ProviderSettings)]
    for field in attrs.fields(Settings):
        kind = getattr(field.default, "factory", None)  # the annotations are for type checkers only
        if isinstance(kind, type) and attrs.has(kind):
            parts += _render_table(field.name, kind)
    return "\n".join([*parts, ""])


def _render_table(path: str, kind: type) -> Iterator[str]:
    """Yield a section for a class, and for the tables within it."""
    docs = dict(ENTRY.findall(inspect.getdoc(kind) or ""))
    hints = resolve_type_hints(kind)
    yield f"## `[{path}]`"
    yield ""
    yield "| key | type | default | range | meaning |"
    yield "|---|---|---|---|---|"
    inner = []
    for field in attrs.fields(kind):
        if not field.init or field.name.startswith("_"):
            continue
        hint = hints[field.name]
        if isinstance(hint, type) and attrs.has(hint) and hint is not Rule and _is_table(hint):
            inner.append((f"{path}.{field.name}", hint))
            continue
        cells = [f"`{field.name}`", _describe(hint), _default(field), _range(field, hint)]
        meaning = RULE if hint is Rule else _clean(docs.get(field.name, ""))
        yield "| " + " | ".join([*cells, meaning]) + " |"
    yield ""
    for name, each in inner:
        yield from _render_table(name, each)


def _is_table(hint: type) -> bool:
    return hint.__module__.startswith("kickai_providers_core.") and hint.__name__.endswith("Settings")


def _describe(hint: Any) -> str:
    """Return a type as TOML has it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, UnionType}:
        return " or ".join(_describe(each) for each in arguments if each is not NoneType)
    if origin is typing.Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f"`{member.value}`" for member in hint)
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    if hint in names:
        return names[hint]
    name = getattr(origin or hint, "__name__", str(hint))
    shapes = {
        "tuple": "array",
        "frozenset": "array",
        "Mapping": "table",
        "dict": "table",
        "Rule": "table",
        "Secret": "key",
    }
    return shapes.get(name, "string" if name == "Target" else name)


def _default(field: attrs.Attribute[Any]) -> str:
    value = field.default
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]  # a class, although typed as a function
        value = value.factory() if not value.takes_self else None
    if isinstance(value, Rule):
        changed = {each.name: getattr(value, each.name) for each in attrs.fields(Rule)}
        return "; ".join(f"`{name}` {_toml(each)}" for name, each in changed.items() if each is not None)
    return _toml(value)


def _toml(value: Any) -> str:
    if value is None or value is attrs.NOTHING:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    if isinstance(value, tuple | list | frozenset):
        return ", ".join(map(_toml, value)) or "empty"
    if isinstance(value, int | float):
        return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
    return "empty" if not value else f"`{value}`"


def _range(field: attrs.Attribute[Any], hint: Any) -> str:
    """Return the bounds of a number, from its validator."""
    validator = field.validator
    if isinstance(validator, Number):
        bounds = [("at least", validator.minimum), ("above", validator.above), ("at most", validator.maximum)]
        return ", ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
    if isinstance(validator, OneOf) and typing.get_origin(hint) is not typing.Literal:
        return ""
    found = BOUND.findall(repr(validator)) if validator is not None else []
    return ", ".join(f"{SIGNS[sign]} {float(bound):g}" for sign, bound in found)


def _clean(text: str) -> str:
    words = " ".join(text.split()).replace("``", "`").replace("|", "\\|")
    return words.removesuffix(".")
