"""What the annotations and validators of a settings class ask for, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import attrs

from kickai_providers_core.config.wording import SHOWN, found, one_of
from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["complaint", "hides", "limits", "wanted"]

_WORDS: dict[Any, str] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Secret: 'a string, { env = "NAME" }, { keyring = "service/username" } or { file = "path" }',
    Target: "'instance' or 'instance:model'",
    Mapping: "a table",
    dict: "a table",
    tuple: "an array in square brackets",
    list: "an array in square brackets",
    frozenset: "an array in square brackets",
    Sequence: "an array in square brackets",
}

_BOUND = re.compile(r"for x (>=|>|<=|<) ([^\s>]+)>")
_RANGES = {
    (">=",): "from {} up",
    (">",): "greater than {}",
    ("<=",): "up to {}",
    ("<",): "less than {}",
    (">=", "<="): "from {} to {}",
    (">=", "<"): "from {} to less than {}",
    (">", "<="): "greater than {} and up to {}",
    (">", "<"): "between {} and {}",
}


def hides(hint: Any) -> bool:
    """Return whether a value of that type may be, or hold, a secret: then it is in no message."""
    return hint is Secret or any(map(hides, get_args(hint)))


def wanted(hint: Any) -> str:
    """Return what a type asks for: ``a whole number``, ``'never' or 'backoff'``."""
    origin = get_origin(hint)
    if origin is Literal:
        return one_of(map(found, get_args(hint)))
    if origin in {Union, UnionType}:
        return one_of(wanted(option) for option in get_args(hint) if option is not NoneType)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return one_of(found(member.value) for member in hint)
    if hint not in _WORDS and attrs.has(hint):
        return "a table"
    return _WORDS.get(origin or hint) or f"a value of type {getattr(hint, '__name__', hint)}"


def limits(field: Attribute[Any]) -> str:
    """Return the bounds that a field's validators set, as in ``from 0 to 2``; empty when there are none.

    They are read from the validators' representations, the only place where attrs shows them.
    """
    bounds = {sign: f"{float(bound):g}" for sign, bound in _BOUND.findall(repr(field.validator))}
    signs = sorted(bounds, reverse=True)
    return _RANGES.get((*signs,), "").format(*(bounds[sign] for sign in signs))


def complaint(error: Exception, value: object) -> str:
    """Return a validator's words on a value; long text is not repeated."""
    told = str(error.args[0]) if error.args else f"{type(error).__name__} was raised"
    return told.replace(value, "…") if isinstance(value, str) and len(value) > SHOWN else told
