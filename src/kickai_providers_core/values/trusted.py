"""Frozen values and copies of them without validation, for values that the core has computed itself.

Constructors of public classes validate every field, which takes several microseconds. A request needs about six such
values whose fields are right by construction.
"""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["build_trusted", "convert_trusted", "evolve_trusted"]

T = TypeVar("T")
Other = TypeVar("Other")


def build_trusted(cls: type[T], /, **fields: Any) -> T:
    """Return a new frozen value. Neither converters nor validators run.

    Args:
        cls: Its class, which has no slots.
        fields: The values of all its fields, which must be what the class documents.
    """
    value = object.__new__(cls)
    object.__setattr__(value, "__dict__", fields)
    return value


def evolve_trusted(value: T, /, **changes: Any) -> T:
    """Return a copy of a frozen value with some fields changed. Neither converters nor validators run.

    Args:
        value: The value to copy; its class has no slots.
        changes: The new values of its fields, which must be what the class documents.
    """
    copy = object.__new__(value.__class__)
    object.__setattr__(copy, "__dict__", value.__dict__ | changes)
    return copy


def convert_trusted(value: object, kind: type[Other], **changes: Any) -> Other:
    """Return the fields of a frozen value, with changes, as an instance of a subclass; else as `evolve_trusted`."""
    converted = object.__new__(kind)
    object.__setattr__(converted, "__dict__", vars(value) | changes)
    return converted
