"""Frozen values and copies of them without validation, for values that the core has computed itself.

Constructors of public classes validate every field, which takes several microseconds. A request needs about six such
values whose fields are right by construction. They are made as `copy.copy` and `pickle` make theirs: a new object gets
its state, and its constructor does not run.
"""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["build_trusted", "evolve_trusted"]

T = TypeVar("T")


def build_trusted(cls: type[T], /, **fields: Any) -> T:
    """Return a new frozen value. Neither converters nor validators run.

    Args:
        cls: Its class, which has no slots.
        fields: The values of all its fields, which must be what the class documents.
    """
    value = object.__new__(cls)
    value.__dict__.update(fields)
    return value


def evolve_trusted(value: T, /, **changes: Any) -> T:
    """Return a copy of a frozen value with some fields changed. Neither converters nor validators run.

    Args:
        value: The value to copy; its class has no slots.
        changes: The new values of its fields, which must be what the class documents.
    """
    copy = object.__new__(value.__class__)
    fields = copy.__dict__
    fields.update(value.__dict__)
    fields.update(changes)
    return copy
