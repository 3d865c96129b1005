"""Corrections of what servers send, so that the ollama client can parse it. Pure."""

from __future__ import annotations

from collections import deque
from typing import Any

from kickai_providers_core import InvalidReplyError
from kickai_providers_core.authoring import SurrogateJoiner, loads

__all__ = ["Corrections"]


class Corrections:
    """Corrects the parts of one answer, in order. Not safe to share between threads.

    The client ignores parts that are not objects. It accepts a tool call's arguments only as an object, though some
    servers send JSON text. It fails on half a character, which a server may cut between two parts. It drops the ids of
    tool calls, which are therefore kept here.

    Args:
        call_ids: Gets the id of each tool call, in order; None where the server sent none.
    """

    def __init__(self, call_ids: deque[object] | None = None) -> None:
        self._call_ids: deque[object] = deque() if call_ids is None else call_ids
        self._joiners = {name: SurrogateJoiner() for name in ("content", "thinking")}

    def apply(self, part: Any) -> Any:
        """Return a part that the client can parse.

        Raises:
            InvalidReplyError: It is not an object, or it has a tool call without a name.
        """
        if not isinstance(part, dict):
            raise InvalidReplyError("the answer has a part that is not a JSON object")
        message = part.get("message")
        if not isinstance(message, dict):
            return part
        corrected = dict(message)
        for name, joiner in self._joiners.items():
            text = message.get(name)
            if isinstance(text, str):
                corrected[name] = joiner.feed(text) + (joiner.finish() if part.get("done") else "")
        if isinstance(message.get("tool_calls"), list):
            corrected["tool_calls"] = [_correct_call(call) for call in message["tool_calls"]]
            self._call_ids.extend(call.get("id") for call in message["tool_calls"])
        return {**part, "message": corrected}


def _correct_call(call: Any) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not function.get("name"):
        raise InvalidReplyError("the answer has a tool call without a name")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = loads(arguments) if arguments.strip() else {}
    return {**call, "function": {**function, "arguments": {} if arguments is None else arguments}}
