"""JSON as RFC 8259 defines it: without NaN, infinities, half characters, or text after the value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from kickai_providers_core.values.errors import InvalidReplyError, UnsupportedRequestError
from kickai_providers_core.values.plain_text import clean_text

__all__ = ["as_object", "dump_bytes", "dumps", "loads", "parse_error_body"]

_PLAIN = (str, int, float, bool, type(None))
_LONGEST_KEY = 64
_DEEPEST = 500


class _NotJsonError(ValueError):
    """A text that Python's parser accepts and RFC 8259 does not."""


def dumps(value: object) -> str:
    """Return a value as compact JSON text that every parser accepts.

    Mappings become objects; tuples and other sequences become arrays. Surrogate pairs are joined, and a lone surrogate
    becomes U+FFFD.

    Raises:
        UnsupportedRequestError: It holds NaN, an infinity, or something that JSON cannot express. The message names the
            place and the type, and no value.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_convert_container)
    except (ValueError, TypeError, RecursionError):
        raise UnsupportedRequestError(f"the request cannot be written as JSON: {_find_fault(value)}") from None
    return clean_text(text)


def dump_bytes(value: object) -> bytes:
    """Return a value as compact JSON in UTF-8; the same as `dumps` otherwise."""
    return dumps(value).encode("utf-8")


def loads(data: bytes | bytearray | str) -> Any:
    """Return the value of a JSON text that a service sent. A byte-order mark at its start is skipped.

    Raises:
        InvalidReplyError: It is not JSON in UTF-8, holds NaN or a number beyond the range of a float, names a member of
            the outermost object twice, has something after the value, or is nested too deeply. The message never quotes
            it.
    """
    try:
        return _parse(data)
    except _NotJsonError as exc:
        raise InvalidReplyError(f"the answer is not valid JSON: {exc}") from None
    except UnicodeDecodeError:
        raise InvalidReplyError("the answer is not UTF-8") from None
    except (ValueError, RecursionError):
        raise InvalidReplyError("the answer is not valid JSON") from None


def parse_error_body(body: object) -> object:
    """Return the JSON value of an error's body; its text when it is text or bytes that are not JSON."""
    if isinstance(body, (bytes, bytearray)):
        body = bytes(body).decode("utf-8", "replace")
    if isinstance(body, str):
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            return body
    return body


def as_object(text: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a tool call in a conversation as an object, for a service that requires one.

    Empty text is an empty object: a call without arguments.

    Raises:
        UnsupportedRequestError: They are not a JSON object, as when the model that wrote them was cut off.
    """
    if isinstance(text, Mapping):
        return dict(text)
    try:
        value = _parse(text) if text.strip() else {}
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UnsupportedRequestError(
            "the conversation has a tool call whose arguments are not a JSON object, and this provider accepts no other"
        )
    return value


def _parse(data: bytes | bytearray | str) -> Any:
    text = data.removeprefix("\ufeff") if isinstance(data, str) else bytes(data).decode("utf-8-sig")
    value = _decoder.decode(text)
    if isinstance(value, _Ambiguous):
        raise _NotJsonError("the outermost object names a member twice")
    return value


class _Ambiguous(dict[str, Any]):
    """An object that names a member twice."""


def _build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Ambiguous(found)


def _refuse_constant(_name: str) -> None:
    raise _NotJsonError("it holds NaN or an infinity")


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NotJsonError("it holds a number that is too large")
    return number


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_parse_float, object_pairs_hook=_build)
"""Made once: making a decoder takes as long as reading a small event of a stream."""


def _convert_container(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if _is_array(value):
        return list(value)
    raise TypeError


def _find_fault(value: object) -> str:
    """Return the place and kind of the first fault, without its value."""
    waiting: list[tuple[str, object, frozenset[int]]] = [("", value, frozenset())]
    while waiting:
        path, item, above = waiting.pop()
        fault = "contains itself" if id(item) in above else _find_own_fault(item, len(above))
        if fault:
            return f"{path.lstrip('.') or 'the value'} {fault}"
        waiting += [(path + step, part, above | {id(item)}) for step, part in reversed(_list_parts(item))]
    return "a value is of an unusual type"


def _find_own_fault(item: object, depth: int) -> str:
    """Return what is wrong with one item itself; empty when nothing is."""
    if isinstance(item, float) and not math.isfinite(item):
        return "is NaN or infinite"
    if isinstance(item, int) and abs(item) >= 10**4300:
        return "is too large"
    if depth > _DEEPEST:
        return "is nested too deeply"
    if isinstance(item, Mapping):
        wrong = next((key for key in item if not isinstance(key, _PLAIN)), None)
        return "" if wrong is None else f"has a key of type {type(wrong).__name__}"
    return "" if isinstance(item, _PLAIN) or _is_array(item) else f"is of type {type(item).__name__}"


def _list_parts(item: object) -> list[tuple[str, object]]:
    if isinstance(item, Mapping):
        return [(f".{_format_key(key)}", part) for key, part in item.items()]
    return [(f"[{index}]", part) for index, part in enumerate(item)] if _is_array(item) else []


def _is_array(item: object) -> TypeGuard[Sequence[object]]:
    return isinstance(item, Sequence) and not isinstance(item, (str, bytes, bytearray, memoryview))


def _format_key(key: object) -> str:
    """Return a key as part of a path; only a short plain name, since a key may be user data."""
    text = str(key)
    return text if text.isidentifier() and len(text) <= _LONGEST_KEY else "?"
