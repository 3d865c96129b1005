"""JSON text of the documents that a store keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kickai_providers_core.values.base_errors import ArgumentTypeError, ArgumentValueError
from kickai_providers_core.values.validation import describe_type

__all__ = ["decode_object", "encode_object"]


def encode_object(where: str, value: object) -> str:
    """Return a mapping as JSON text, which `decode_object` turns into an equal one.

    Raises:
        ArgumentTypeError: It is not a mapping, or contains a value that JSON has no form for.
        ArgumentValueError: It contains NaN or an infinity, or itself.
    """
    try:
        if not isinstance(value, Mapping):
            raise ArgumentTypeError(f"{where} must be a mapping, got {describe_type(value)}")
        plain = _to_plain(where, value)
        return json.dumps(plain, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        message = f"{where} must not contain itself or be nested deeply"
    except ValueError as error:
        message = f"{where} must have a form in JSON: {error}"
    raise ArgumentValueError(message)


def decode_object(text: str) -> dict[str, Any]:
    """Return the mapping of a JSON text.

    Raises:
        ValueError: The text is damaged.
    """
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  the text is damaged
    return value


def _to_plain(where: str, value: object) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ArgumentTypeError(f"each key of {where} must be a string, got {describe_type(key)}")
        return {key: _to_plain(f"{where}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(f"{where}[{place}]", item) for place, item in enumerate(value)]
    raise ArgumentTypeError(f"{where} must have a form in JSON, got {describe_type(value)}")
