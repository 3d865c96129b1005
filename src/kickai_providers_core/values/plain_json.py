"""Python objects as plain JSON values: the other direction of `type_shapes`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from enum import Enum
from typing import Any

import attrs

from kickai_providers_core.values.object_shapes import is_pydantic_model

__all__ = ["to_plain_json"]


def to_plain_json(value: Any) -> Any:
    """Return a value as dicts, lists, text, numbers, truth values and None.

    It takes attrs and dataclass instances, pydantic models, enumerations, dates, tuples and sets too. The order of a
    set is not kept.

    Raises:
        TypeError: JSON has no form for a part of it.
    """
    if isinstance(value, Enum):
        return to_plain_json(value.value)
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            message = "the keys of a mapping must be text"
            raise TypeError(message)
        return {key: to_plain_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple | AbstractSet):
        return [to_plain_json(each) for each in value]
    if isinstance(value, date | datetime):
        return value.isoformat()
    if is_pydantic_model(type(value)):
        return value.model_dump(mode="json")
    if attrs.has(type(value)):
        return {each.name: to_plain_json(getattr(value, each.name)) for each in attrs.fields(type(value))}
    if dataclasses.is_dataclass(value):
        return {each.name: to_plain_json(getattr(value, each.name)) for each in dataclasses.fields(value)}
    message = f"JSON has no form for {type(value).__name__}"
    raise TypeError(message)
