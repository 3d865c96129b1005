"""Converts values to JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import KeysView

__all__ = ["Jsonable", "to_json"]


class Jsonable:
    """Base of public values with ``as_dict()``, whose result ``json.dumps`` accepts.

    ``dict(value)`` returns the same, so a FastAPI handler can return the value without further code. Neither FastAPI
    nor pydantic is imported here.
    """

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the value as JSON: strings, finite numbers, booleans, None, and lists and dicts of these.

        Raises:
            TypeError: The class does not define it.
        """
        message = f"{type(self).__name__} must define as_dict() to be converted to JSON"
        raise TypeError(message)

    def keys(self) -> KeysView[str]:
        """Return the names of the fields in `as_dict`; ``dict(value)`` calls it."""
        return self.as_dict().keys()

    def __getitem__(self, name: str) -> Any:
        return self.as_dict()[name]

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, Any]:
        # Pydantic's core schemas are plain dicts, documented in pydantic_core.core_schema.
        serialization = {
            "type": "function-plain",
            "function": cls.as_dict,
            "return_schema": {"type": "dict"},
        }
        return {"type": "is-instance", "cls": cls, "serialization": serialization}


def to_json(value: object) -> Any:
    """Return a value as JSON. Numbers that are not finite become None, and unknown objects the name of their type."""
    if isinstance(value, Enum):
        return to_json(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Jsonable):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(map(to_json, value), key=str)
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | memoryview):
        return [to_json(item) for item in value]
    return type(value).__name__
