"""Values that turn themselves into plain JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import KeysView

__all__ = ["Jsonable", "to_json"]


class Jsonable:
    """Base of public values with ``as_dict()``, which returns what ``json.dumps`` takes.

    ``dict(value)`` returns the same, so that a FastAPI handler can return the value: FastAPI and pydantic need no
    further code, and neither of them is imported here.
    """

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the value as JSON: text, finite numbers, booleans, None, and lists and dicts of these."""
        raise NotImplementedError

    def keys(self) -> KeysView[str]:
        """Return the names of the fields in `as_dict`; ``dict(value)`` calls it."""
        return self.as_dict().keys()

    def __getitem__(self, name: str) -> Any:
        return self.as_dict()[name]

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, Any]:
        # Core schemas of pydantic are plain dicts, documented in pydantic_core.core_schema.
        serialization = {
            "type": "function-plain",
            "function": cls.as_dict,
            "return_schema": {"type": "dict"},
        }
        return {"type": "is-instance", "cls": cls, "serialization": serialization}


def to_json(value: object) -> Any:
    """Return a value as JSON: numbers that are not finite become None, and what is unknown becomes its type's name."""
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
