"""Tool calls out of pieces; two calls are never merged."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import define, field

from kickai_providers_core.authoring.strict_json import dumps
from kickai_providers_core.values.errors import InvalidReplyError, UnsupportedRequestError
from kickai_providers_core.values.plain_text import clean_text
from kickai_providers_core.values.tools import ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ToolCallAssembler", "new_call_id"]

MAX_CALLS = 1000
"""The most calls in one answer."""


def new_call_id() -> str:
    """Return a new id for a tool call, unique across conversations."""
    return f"call_{os.urandom(12).hex()}"


@define
class _Call:
    id: str
    index: int | None
    name: str
    texts: list[str] = field(factory=list)
    is_whole: bool = False

    @property
    def arguments(self) -> str:
        return clean_text("".join(self.texts)) or "{}"

    @property
    def is_complete(self) -> bool:
        """Whether the arguments are a whole object, so that more text cannot belong to them."""
        if self.is_whole:
            return True
        text = "".join(self.texts).strip()
        try:
            return text.endswith("}") and isinstance(json.loads(text), dict)
        except (ValueError, RecursionError):
            return False


class ToolCallAssembler:
    """Puts the pieces of an answer's tool calls together. Not safe to share between threads.

    Services identify the pieces of a call by an index, an id, both or neither, and some give every call the index 0.
    The rules, in this order: a new id begins a new call, whatever the index says; so does another name, or a named
    piece after complete arguments; a piece with a known index or id, or without a name, continues its call.

    Args:
        new_id: Returns an id for a call that has none, or the id of another call.
    """

    def __init__(self, *, new_id: Callable[[], str] = new_call_id) -> None:
        self._new_id = new_id
        self._calls: list[_Call] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(
        self,
        index: object = None,
        id: object = None,  # noqa: A002  as the protocols have it
        name: object = None,
        arguments: object = None,
    ) -> None:
        """Take a call, or a piece of one.

        Args:
            index: The position that the service gives; an integer or None.
            id: The service's name for the call; text, an integer, or None. Empty is the same as None.
            name: The tool; text or None. Empty is the same as None.
            arguments: A fragment of JSON text, a whole JSON object as a mapping, or None.

        Raises:
            InvalidReplyError: One of them has another type, or there are more than a thousand calls.
        """
        call_id, tool, position = _read_text(id, "id"), _read_text(name, "name"), _read_index(index)
        call = self._find(position, call_id, tool, is_object=isinstance(arguments, Mapping))
        if call is None:
            if len(self._calls) >= MAX_CALLS:
                raise InvalidReplyError(f"the answer has more than {MAX_CALLS} tool calls")
            call = _Call(id=call_id, index=position, name=tool)
            self._calls.append(call)
        call.id = call.id or call_id
        call.name = call.name or tool
        _extend(call, arguments)

    def finish(self) -> tuple[ToolCall, ...]:
        """Return the calls in the order in which they began; each has a unique id.

        The arguments are the text that the model wrote, which may be cut off or invalid; no text becomes ``{}``.

        Raises:
            InvalidReplyError: A call has no name.
        """
        if not all(call.name for call in self._calls):
            raise InvalidReplyError("the answer has a tool call without a name")
        stated = {call.id for call in self._calls}
        used: set[str] = set()
        calls = []
        for call in self._calls:
            call_id = call.id
            while not call_id or call_id in used or (call_id != call.id and call_id in stated):
                call_id = self._new_id()
            used.add(call_id)
            calls.append(ToolCall(id=call_id, name=call.name, arguments=call.arguments))
        return tuple(calls)

    def _find(self, index: int | None, call_id: str, name: str, *, is_object: bool) -> _Call | None:
        """Return the call that a piece continues; None when the piece begins a new one."""
        newest_first = reversed(self._calls)
        if call_id:
            known = next((call for call in newest_first if call.id == call_id), None)
            if known is None:
                return self._find_without_id(index, name)
            is_other = index is not None and known.index is not None and index != known.index
            return None if (is_other and name) or _begins_anew(known, name, is_object=is_object) else known
        known = next((call for call in newest_first if index is None or call.index == index), None)
        return None if known is None or _begins_anew(known, name, is_object=is_object) else known

    def _find_without_id(self, index: int | None, name: str) -> _Call | None:
        """Return the call without an id that an id in a later piece belongs to."""
        if name or not self._calls:
            return None
        call = self._calls[-1]
        return call if not call.id and call.name and index == call.index and not call.is_complete else None


def _begins_anew(call: _Call, name: str, *, is_object: bool) -> bool:
    """Return whether a piece that seems to continue a call begins another one."""
    if name and call.name and name != call.name:
        return True
    has_more = bool(name) or is_object
    return has_more and bool(call.name) and call.is_complete


def _extend(call: _Call, arguments: object) -> None:
    if isinstance(arguments, str):
        call.texts.append(arguments)
    elif isinstance(arguments, Mapping):
        try:
            call.texts.append(dumps(arguments))
        except UnsupportedRequestError:
            raise InvalidReplyError("the arguments of a tool call are not a JSON object") from None
        call.is_whole = True
    elif arguments is not None:
        raise InvalidReplyError(f"the arguments of a tool call are of type {type(arguments).__name__}")


def _read_text(value: object, what: str) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and what == "id":
        return str(value)
    if not isinstance(value, str):
        raise InvalidReplyError(f"the {what} of a tool call is of type {type(value).__name__}")
    return clean_text(value)


def _read_index(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise InvalidReplyError(f"the index of a tool call is of type {type(value).__name__}")
