"""From the service's JSON to a reply: one `Gathering` for whole answers and for streams.

Pure, but for what a gathering remembers of one answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from kickai_providers_core import (
    ContentFilteredError,
    FinishReason,
    InvalidReplyError,
    Reply,
    ReplyChunk,
    ToolCall,
    UnsupportedRequestError,
    Usage,
)
from kickai_providers_core.authoring import json_schema, strict_json
from kickai_providers_core.authoring.text import SurrogateJoiner, clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_gemini.mapping import Asked

__all__ = ["Gathering", "reply", "usage"]

BLOCKS = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "JAILBREAK",
        "MODEL_ARMOR",
    }
)
"""The finish reasons that mean: the service withheld the answer (ai.google.dev/api/generate-content#FinishReason)."""

UNSAID = frozenset({"", "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"})

REASONS = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
)
"""The finish reasons by number, which gateways that speak protocol buffers send instead of the names."""

WORD = re.compile(r"[A-Z][A-Z0-9_]{0,63}")

NOTES = frozenset({"thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution"})
"""The fields of a part that say something about it, and hold nothing of the answer."""

CONTENTS = frozenset(
    {"inlineData", "fileData", "executableCode", "codeExecutionResult", "functionResponse", "toolCall", "toolResponse"}
)
"""What a part may hold besides text and calls, none of which this plugin asks for."""

AROUND = frozenset(
    {
        "candidates",
        "promptFeedback",
        "usageMetadata",
        "modelVersion",
        "responseId",
        "createTime",
        "modelStatus",
    }
)
"""The fields of a response (ai.google.dev/api/generate-content#generatecontentresponse)."""


def reply(response: Mapping[str, Any], asked: Asked) -> Reply:
    """Return a whole answer.

    Raises:
        ContentFilteredError: The prompt was refused, or the answer withheld.
        InvalidReplyError: There is no answer in it, not a whole one, or one that is not understood.
    """
    gathering = Gathering(asked)
    chunk = gathering.add(response)
    if not response.get("candidates"):
        raise InvalidReplyError(NOTHING)
    last = gathering.end()
    return Reply(
        text=chunk.text + last.text,
        finish_reason=last.finish_reason or FinishReason.STOP,
        usage=last.usage,
        model=last.model,
        tool_calls=chunk.tool_calls,
        request_id=last.request_id,
        omitted=last.omitted,
    )


NOTHING = "the response has neither an answer nor a reason for having none"


class Gathering:
    """What has come of one answer so far.

    The service may state a finish reason in any response of a stream, and more than once: only at the end of the
    stream is it known that nothing follows. The last reason that was stated counts.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._ids: set[str] = set()
        self._said = False
        self._texts: list[str] = []
        self._joiner = SurrogateJoiner()
        self._reason = ""
        self._usage: Usage | None = None
        self._model = asked.model
        self._request_id: str | None = None

    def add(self, response: Mapping[str, Any]) -> ReplyChunk:
        """Return one response of the service as a chunk, which is never the last one.

        Raises:
            ContentFilteredError: The prompt was refused, or the rest of the answer is withheld.
            InvalidReplyError: It is no answer, or holds something that is not understood.
        """
        self._check_feedback(response)
        self._note(response)
        candidate = _candidate(response)
        parts = _parts(candidate)
        calls = self._tool_calls(parts)
        text = self._keep("".join(_text(part) for part in parts if not part.get("thought")))
        self._finish(candidate.get("finishReason"))
        return self._chunk(text, calls)

    def end(self) -> ReplyChunk:
        """Return the last chunk, now that no more will come.

        Raises:
            InvalidReplyError: Something is missing, the model broke off, or nothing was said.
        """
        text = self._keep("", last=True)
        if not self._reason:
            raise InvalidReplyError("the answer was cut: it ended without a finish reason")
        if self._reason not in {"STOP", "MAX_TOKENS"}:
            raise InvalidReplyError(f"the model broke off: {self._reason}")
        if not self._said and not self._ids:
            raise InvalidReplyError(_nothing_said(self._reason, self._usage, self._asked.max_tokens))
        if self._asked.json_schema is not None and not self._ids:
            json_schema.check_answer("".join(self._texts), self._asked.json_schema)
        stopped = FinishReason.TOOL_CALL if self._ids else FinishReason.STOP
        return self._chunk(text, (), FinishReason.LENGTH if self._reason == "MAX_TOKENS" else stopped)

    def _chunk(self, text: str, calls: tuple[ToolCall, ...], finish_reason: FinishReason | None = None) -> ReplyChunk:
        return ReplyChunk(
            text=text,
            finish_reason=finish_reason,
            usage=self._usage,
            model=self._model,
            tool_calls=calls,
            request_id=self._request_id,
            omitted=self._asked.omitted,
        )

    def _check_feedback(self, response: Mapping[str, Any]) -> None:
        feedback = _field(response, "promptFeedback", dict) or {}
        reason = _word(feedback.get("blockReason"))
        if reason not in UNSAID:
            raise ContentFilteredError(f"Gemini refused the prompt: {reason}", reason=reason)
        if not response.keys() <= AROUND and "candidates" not in response:
            raise InvalidReplyError(NOTHING)

    def _note(self, response: Mapping[str, Any]) -> None:
        """Keep what a response says about the answer; in a stream, some of it comes in the last one only."""
        self._usage = usage(response) or self._usage
        self._model = _field(response, "modelVersion", str) or self._model
        self._request_id = _field(response, "responseId", str) or self._request_id

    def _keep(self, text: str, *, last: bool = False) -> str:
        """Return text that is whole characters: a response may end between the two halves of one."""
        made = self._joiner.feed(text) + (self._joiner.finish() if last else "")
        self._said = self._said or bool(made)
        if self._asked.json_schema is not None:
            self._texts.append(made)
        return made

    def _tool_calls(self, parts: list[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
        calls = [call for part in parts if (call := _field(part, "functionCall", dict)) is not None]
        return tuple(map(self._tool_call, calls))

    def _tool_call(self, call: Mapping[str, Any]) -> ToolCall:
        name = _field(call, "name", str)
        if not name:
            raise InvalidReplyError("the answer has a function call without a name")
        if call.get("partialArgs") or call.get("willContinue"):
            raise InvalidReplyError("the answer has a function call in parts, which was not asked for")
        return ToolCall(id=self._id(call.get("id")), name=clean_text(name), arguments=_arguments(call.get("args")))

    def _id(self, named: object) -> str:
        """Return an id that no other call of the answer has; models before Gemini 3 give their calls none."""
        found = named if isinstance(named, str) else ""
        if not found or found in self._ids:
            found = f"{self._request_id}-{len(self._ids)}" if self._request_id else f"call-{uuid4().hex}"
        while found in self._ids:
            found = f"call-{uuid4().hex}"
        self._ids.add(found)
        return found

    def _finish(self, stated: object) -> None:
        if isinstance(stated, int) and not isinstance(stated, bool):
            stated = REASONS[stated] if 0 <= stated < len(REASONS) else "UNKNOWN"
        reason = _word(stated)
        if reason in BLOCKS:
            raise ContentFilteredError(f"Gemini withheld the answer: {reason}", reason=reason)
        if reason not in UNSAID:
            self._reason = reason


def _word(stated: object) -> str:
    """Return a reason of the service's: a word of its vocabulary, and never other text."""
    if stated is None or stated == "":
        return ""
    return stated if isinstance(stated, str) and WORD.fullmatch(stated) else "UNKNOWN"


def _candidate(response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the candidate that is the answer: the one with the index 0, since only one is asked for.

    A response of a stream may have none, and then only counts tokens. Candidates with other indices are other answers.
    """
    found = []
    for position, candidate in enumerate(_field(response, "candidates", list) or ()):
        if not isinstance(candidate, dict):
            raise _not_understood("a candidate")
        index = candidate.get("index")
        if (position if index is None else index) == 0:
            found.append(candidate)
    if len(found) > 1:
        raise InvalidReplyError("the response has several candidates with the index 0")
    return found[0] if found else {}


def _parts(candidate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the parts of a candidate, all of which are understood.

    Raises:
        InvalidReplyError: One of them holds something that is neither text nor a function call.
    """
    content = _field(candidate, "content", dict) or {}
    parts = _field(content, "parts", list) or []
    for part in parts:
        if not isinstance(part, dict):
            raise _not_understood("a part")
        held = {name for name, value in part.items() if name not in NOTES and value is not None}
        if part.get("thought") or held <= {"text", "functionCall"}:
            continue
        unknown = sorted(held & CONTENTS)
        raise InvalidReplyError(f"the answer has a part that is not understood: {unknown[0] if unknown else 'unknown'}")
    return parts


def _text(part: Mapping[str, Any]) -> str:
    return _field(part, "text", str) or ""


def _arguments(args: object) -> str:
    """Return a call's arguments as the text of a JSON object; gateways send text as well as objects."""
    try:
        value = strict_json.loads(args) if isinstance(args, str) and args else args or {}
        if isinstance(value, dict):
            return strict_json.dumps(value)
    except (InvalidReplyError, UnsupportedRequestError):
        pass
    raise InvalidReplyError("the arguments of a function call are not a JSON object")


def _field(value: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return a field, or None when it is absent.

    Raises:
        InvalidReplyError: It is of another type.
    """
    found = value.get(name)
    if found is not None and not isinstance(found, kind):
        raise _not_understood(name)
    return found


def _not_understood(what: str) -> InvalidReplyError:
    return InvalidReplyError(f"the answer cannot be read: {what} has another form than in the Gemini API")


def _nothing_said(reason: str, counted: Usage | None, limit: int | None) -> str:
    if reason != "MAX_TOKENS":
        return "the answer is empty"
    spent = f"all {counted.reasoning_tokens} tokens" if counted and counted.reasoning_tokens else "all tokens"
    of = f" of max_tokens = {limit}" if limit is not None else ""
    return f"the answer is empty: thinking used {spent}{of}; raise max_tokens or lower thinking_level"


def usage(response: Mapping[str, Any]) -> Usage | None:
    """Return the tokens that a response counts, or None when it counts none.

    Thinking is billed as output. The old client drops the field that counts it, but not the total, of which it is
    what neither prompt nor answer account for.
    """
    counted = response.get("usageMetadata")
    if not isinstance(counted, dict) or not counted:
        return None
    prompt = _tokens(counted, "promptTokenCount") + _tokens(counted, "toolUsePromptTokenCount")
    answer = _tokens(counted, "candidatesTokenCount")
    rest = max(0, _tokens(counted, "totalTokenCount") - prompt - answer)
    thinking = _tokens(counted, "thoughtsTokenCount") or rest
    return Usage(
        input_tokens=prompt,
        output_tokens=answer + thinking,
        cached_tokens=_tokens(counted, "cachedContentTokenCount"),
        reasoning_tokens=thinking,
    )


def _tokens(counted: Mapping[str, Any], name: str) -> int:
    value = counted.get(name)
    return value if isinstance(value, int) and value > 0 else 0
