"""From the JSON of the Gemini API to a reply, for whole answers and for streams. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kickai_providers_core import (
    ContentFilteredError,
    FinishReason,
    InvalidReplyError,
    ReplyChunk,
    UnsupportedRequestError,
    Usage,
)
from kickai_providers_core.authoring import ReplyBuilder, dumps, loads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core import ChatRequest, Reply

    from kickai_gemini.requests import GeminiRequest

__all__ = ["ReplyReader", "read_usage"]

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
"""The finish reasons of an answer that the service withheld (ai.google.dev/api/generate-content#FinishReason)."""

UNSPECIFIED = frozenset({"", "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"})
FINISHES = {"STOP": FinishReason.STOP, "MAX_TOKENS": FinishReason.LENGTH}
NUMBERED = (
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

REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")

PART_NOTES = frozenset({"thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution"})
"""The fields of a part that hold nothing of the answer."""

OTHER_PARTS = frozenset(
    {"inlineData", "fileData", "executableCode", "codeExecutionResult", "functionResponse", "toolCall", "toolResponse"}
)
"""The kinds of parts besides text and calls, none of which this plugin requests."""

RESPONSE_FIELDS = frozenset(
    {"candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "createTime", "modelStatus"}
)
"""The fields of a response (ai.google.dev/api/generate-content#generatecontentresponse)."""

NO_ANSWER = "the response has neither an answer nor a reason for having none"


class ReplyReader:
    """Reads the responses that an answer consists of: one, or those of a stream. Not safe to share between threads.

    The service may state a finish reason in any response of a stream, and more than once, so only the end of the stream
    shows that nothing follows. The last reason that was stated counts.

    Args:
        request: The core's request.
        sent: What was sent.
    """

    def __init__(self, request: ChatRequest, sent: GeminiRequest) -> None:
        self._max_tokens = request.max_tokens
        self._builder = ReplyBuilder(request, stop=(), omitted=sent.omitted)
        self._builder.model = sent.model
        self._reason = ""
        self._is_empty = True

    def add(self, response: Mapping[str, Any]) -> ReplyChunk:
        """Take a response; return its text as a chunk, which is never the last one.

        Raises:
            ContentFilteredError: The prompt was refused, or the rest of the answer is withheld.
            InvalidReplyError: It is not a response, or holds something that is not understood.
        """
        self._check_feedback(response)
        self._read_metadata(response)
        candidate = _find_candidate(response)
        text = thought = ""
        for part in _read_parts(candidate):
            if part.get("thought"):
                thought += self._builder.add_reasoning(_read(part, "text", str) or "")
                continue
            text += self._builder.add_text(_read(part, "text", str) or "")
            call = _read(part, "functionCall", dict)
            if call is not None:
                self._add_call(call)
        self._is_empty = self._is_empty and not text
        self._note_finish_reason(candidate.get("finishReason"))
        builder = self._builder
        return ReplyChunk(
            text=text, reasoning=thought, usage=builder.usage, model=builder.model, request_id=builder.request_id
        )

    def build(self, response: Mapping[str, Any]) -> Reply:
        """Return the reply of a whole answer.

        Raises:
            ContentFilteredError: The prompt was refused, or the answer withheld.
            InvalidReplyError: It has no answer, or one that is cut, empty or not understood.
        """
        self.add(response)
        if not response.get("candidates"):
            raise InvalidReplyError(NO_ANSWER)
        self._finish()
        return self._builder.build()

    def build_last_chunk(self) -> ReplyChunk:
        """Return the last chunk of a stream that has ended, with the tool calls.

        Raises:
            InvalidReplyError: The answer is cut or empty, or the model stopped with an error.
        """
        self._finish()
        return self._builder.build_last_chunk()

    def _finish(self) -> None:
        if self._reason and self._reason not in FINISHES:
            raise InvalidReplyError(f"the model stopped with {self._reason}")
        if self._reason == "MAX_TOKENS" and self._is_empty:
            raise InvalidReplyError(self._describe_thinking(), due_to_request=True)
        if self._reason:
            self._builder.finish(FINISHES[self._reason])

    def _describe_thinking(self) -> str:
        usage = self._builder.usage
        count = f"all {usage.reasoning_tokens} tokens" if usage and usage.reasoning_tokens else "all tokens"
        limit = "" if self._max_tokens is None else f" of max_tokens = {self._max_tokens}"
        return f"the answer is empty: thinking used {count}{limit}; raise max_tokens or lower thinking_level"

    def _check_feedback(self, response: Mapping[str, Any]) -> None:
        feedback = _read(response, "promptFeedback", dict) or {}
        reason = _read_reason(feedback.get("blockReason"))
        if reason not in UNSPECIFIED:
            raise ContentFilteredError(f"Gemini refused the prompt: {reason}", reason=reason)
        if not response.keys() <= RESPONSE_FIELDS and "candidates" not in response:
            raise InvalidReplyError(NO_ANSWER)

    def _read_metadata(self, response: Mapping[str, Any]) -> None:
        """Read what a response says about the answer; in a stream, some of it is in the last response only."""
        builder = self._builder
        builder.usage = read_usage(response) or builder.usage
        builder.model = _read(response, "modelVersion", str) or builder.model
        builder.request_id = _read(response, "responseId", str) or builder.request_id

    def _add_call(self, call: Mapping[str, Any]) -> None:
        name = _read(call, "name", str)
        if not name:
            raise InvalidReplyError("the answer has a function call without a name")
        if call.get("partialArgs") or call.get("willContinue"):
            raise InvalidReplyError("the answer has a function call in parts, which was not requested")
        call_id = call.get("id")
        self._builder.add_call(
            id=call_id if isinstance(call_id, str) else None, name=name, arguments=_read_arguments(call.get("args"))
        )
        self._is_empty = False

    def _note_finish_reason(self, stated: object) -> None:
        if isinstance(stated, int) and not isinstance(stated, bool):
            stated = NUMBERED[stated] if 0 <= stated < len(NUMBERED) else "UNKNOWN"
        reason = _read_reason(stated)
        if reason in BLOCKS:
            raise ContentFilteredError(f"Gemini withheld the answer: {reason}", reason=reason)
        if reason not in UNSPECIFIED:
            self._reason = reason


def _read_reason(stated: object) -> str:
    """Return a reason of the service's vocabulary, and never other text."""
    if stated is None or stated == "":
        return ""
    return stated if isinstance(stated, str) and REASON.fullmatch(stated) else "UNKNOWN"


def _find_candidate(response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the candidate with the index 0, which is the answer, since only one is requested.

    A response of a stream may have none, and then only counts tokens. Candidates with other indices are other answers.
    """
    found = []
    for position, candidate in enumerate(_read(response, "candidates", list) or ()):
        if not isinstance(candidate, dict):
            raise _build_form_error("a candidate")
        index = candidate.get("index")
        if (position if index is None else index) == 0:
            found.append(candidate)
    if len(found) > 1:
        raise InvalidReplyError("the response has several candidates with the index 0")
    return found[0] if found else {}


def _read_parts(candidate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the parts of a candidate.

    Raises:
        InvalidReplyError: One of them holds something that is neither text nor a function call.
    """
    content = _read(candidate, "content", dict) or {}
    parts = _read(content, "parts", list) or []
    for part in parts:
        if not isinstance(part, dict):
            raise _build_form_error("a part")
        fields = {name for name, value in part.items() if name not in PART_NOTES and value is not None}
        if part.get("thought") or fields <= {"text", "functionCall"}:
            continue
        kind = min(fields & OTHER_PARTS, default="unknown")
        raise InvalidReplyError(f"the answer has a part that is not understood: {kind}")
    return parts


def _read_arguments(args: object) -> str:
    """Return a call's arguments as the text of a JSON object; gateways send text as well as objects."""
    try:
        value = loads(args) if isinstance(args, str) and args else args or {}
        if isinstance(value, dict):
            return dumps(value)
    except (InvalidReplyError, UnsupportedRequestError):
        pass
    raise InvalidReplyError("the arguments of a function call are not a JSON object")


def _read(value: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return a field, or None when it is absent.

    Raises:
        InvalidReplyError: It is of another type.
    """
    found = value.get(name)
    if found is not None and not isinstance(found, kind):
        raise _build_form_error(name)
    return found


def _build_form_error(what: str) -> InvalidReplyError:
    return InvalidReplyError(f"the answer cannot be read: {what} has another form than in the Gemini API")


def read_usage(response: Mapping[str, Any]) -> Usage | None:
    """Return the tokens that a response counts, or None when it counts none.

    Thinking is billed as output. Some gateways leave out the field that counts it, but not the total.
    """
    counts = response.get("usageMetadata")
    if not isinstance(counts, dict) or not counts:
        return None
    prompt = _read_tokens(counts, "promptTokenCount") + _read_tokens(counts, "toolUsePromptTokenCount")
    answer = _read_tokens(counts, "candidatesTokenCount")
    rest = max(0, _read_tokens(counts, "totalTokenCount") - prompt - answer)
    thinking = _read_tokens(counts, "thoughtsTokenCount") or rest
    return Usage(
        input_tokens=prompt,
        output_tokens=answer + thinking,
        cached_tokens=_read_tokens(counts, "cachedContentTokenCount"),
        reasoning_tokens=thinking,
    )


def _read_tokens(counts: Mapping[str, Any], name: str) -> int:
    value = counts.get(name)
    return value if isinstance(value, int) and value > 0 else 0
