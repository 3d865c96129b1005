"""The ids of a conversation's tool calls, made unique, and the call that each result belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from kickai_providers_core import UnsupportedRequestError

if TYPE_CHECKING:
    from kickai_providers_core import ToolCall

__all__ = ["CallIds"]


@define
class _Call:
    original_id: str
    sent_id: str
    name: str
    is_answered: bool = False


class CallIds:
    """The tool calls of a conversation so far.

    The model that made the calls chose their ids: they may be missing, or the same for several calls. A result belongs
    to the oldest unanswered call with its id; a result without an id, to the oldest unanswered call.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def add(self, call: ToolCall) -> str:
        """Return the id to send for a call, which no other call of the conversation has."""
        used = {each.sent_id for each in self._calls}
        sent_id, number = call.id, len(self._calls) + 1
        while not sent_id or sent_id in used:
            sent_id = f"{call.id or 'call'}-{number}"
            number += 1
        self._calls.append(_Call(call.id, sent_id, call.name))
        return sent_id

    def match_result(self, call_id: str | None) -> tuple[str, str]:
        """Return the id that was sent, and the name, of the call that a result belongs to.

        Raises:
            UnsupportedRequestError: No such call exists.
        """
        for call in self._calls:
            if not call.is_answered and call_id in {None, "", call.original_id}:
                call.is_answered = True
                return call.sent_id, call.name
        raise UnsupportedRequestError("a tool message answers no call of the conversation before it")
