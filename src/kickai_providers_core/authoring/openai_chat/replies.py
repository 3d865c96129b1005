"""Whole replies of the Chat Completions protocol, and the documents of its streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from kickai_providers_core.authoring.errors_from_responses import error_for_body
from kickai_providers_core.authoring.reply_builder import ReplyBuilder
from kickai_providers_core.authoring.service_names import printable_name
from kickai_providers_core.values.errors import InvalidReplyError
from kickai_providers_core.values.replies import FinishReason, Reply, ReplyChunk
from kickai_providers_core.values.trusted import evolve_trusted
from kickai_providers_core.values.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["ChatDecoder", "decode", "finish_reason_for"]

_FINISH_REASONS = {
    # OpenAI's words, then those of TGI and of other services.
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALL,
    "function_call": FinishReason.TOOL_CALL,
    "content_filter": FinishReason.CONTENT_FILTER,
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "complete": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_call": FinishReason.TOOL_CALL,
    "tool_use": FinishReason.TOOL_CALL,
    "safety": FinishReason.CONTENT_FILTER,
}

_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Where services put a model's reasoning; some send it under two names. It is not part of the answer."""

NANO = 10**9

MAX_COST_USD = 1e6
"""A cost above this, in US dollars, is an error of the service."""

_REASONING_PARTS = frozenset({"thinking", "reasoning", "redacted_thinking"})
_REASONING_KEYS = ("text", "thinking", "reasoning")
_TEXT_PARTS = frozenset({"text", "output_text", None})


def finish_reason_for(word: str) -> FinishReason:
    """Return what a service's word for a finish reason means, in any case.

    Raises:
        InvalidReplyError: The word is unknown.
    """
    reason = _FINISH_REASONS.get(word.lower())
    if reason is None:
        raise InvalidReplyError("the finish reason is unknown") from None
    return reason


def decode(
    document: object,
    request: ChatRequest | None = None,
    *,
    stop: Sequence[str] | None = None,
    omitted: Iterable[str] = (),
    request_id: str | None = None,
) -> Reply:
    """Return the reply that a whole answer holds.

    Args:
        document: The JSON value of the answer.
        request: What was requested; the answer is checked against its ``tool_choice`` and ``json_schema``.
        stop: As in `ReplyBuilder`.
        omitted: As in `ReplyBuilder`.
        request_id: The service's name for the request, from a header; None for the one in the answer.

    Raises:
        InvalidReplyError: It is not what the protocol allows, cut, empty, or does not keep to the request.
        ContentFilteredError: The service withheld the answer.
        ProviderError: It is an error that came with status 200.
    """
    decoder = ChatDecoder(request, stop=stop, omitted=omitted, is_stream=False)
    decoder.builder.request_id = request_id
    decoder.add(document)
    return decoder.builder.build()


class ChatDecoder:
    """Turns the documents of a stream into chunks. Not safe to share between threads or tasks.

    Args:
        request: As in `decode`.
        stop: As in `ReplyBuilder`.
        omitted: As in `ReplyBuilder`.
        is_stream: Whether the documents are those of a stream.

    Attributes:
        builder: What gathers the answer. Set its ``request_id`` when the service names one in a header.
        has_progressed: Whether the last document brought text, reasoning, a part of a tool call, or the end.
    """

    def __init__(
        self,
        request: ChatRequest | None = None,
        *,
        stop: Sequence[str] | None = None,
        omitted: Iterable[str] = (),
        is_stream: bool = True,
    ) -> None:
        self.builder = ReplyBuilder(request, stop=stop, omitted=omitted)
        self.has_progressed = False
        self._is_stream = is_stream
        self._thought = ""
        self._named = ReplyChunk()  # what is the same in all chunks, validated once
        self._names: tuple[str, str | None] = ("", None)

    @property
    def is_finished(self) -> bool:
        """Whether the service has named a finish reason and has sent nothing of the answer since."""
        return self.builder.is_finished

    def add(self, document: object) -> ReplyChunk | None:
        """Take the next document.

        Returns:
            A chunk with text or reasoning; without both when the model writes a tool call or has ended, and the stream
            is therefore not idle. None when the document brings nothing, as one that only counts tokens.

        Raises:
            InvalidReplyError: It is not what the protocol allows.
            ProviderError: It reports an error.
        """
        found = _require_object(document, "it")
        if found.get("error") or found.get("object") == "error":
            raise error_for_body(found)
        builder, self.has_progressed = self.builder, False
        if not builder.model:
            builder.model = printable_name(found.get("model"))
        if builder.request_id is None:
            builder.request_id = printable_name(found.get("id")) or None
        if found.get("usage"):
            builder.usage = _parse_usage(found["usage"]) or builder.usage
        choices = found.get("choices")
        if choices is None and isinstance(found.get("usage"), dict):
            choices = []
        self._thought = text = ""
        for number, choice in enumerate(_require_list(choices, "choices")):
            if _read_index(choice, number) == 0:  # one answer was requested, so others are not part of it
                text += self._add_choice(choice)
        if not self.has_progressed:
            return None
        names = (builder.model, builder.request_id)
        if names != self._names:
            self._names, self._named = names, ReplyChunk(model=builder.model, request_id=builder.request_id)
        return evolve_trusted(self._named, text=text, reasoning=self._thought)

    def finish(self) -> ReplyChunk:
        """Return the last chunk; call it when the stream has ended.

        Raises:
            InvalidReplyError: The answer is cut, empty, or does not keep to the request.
            ContentFilteredError: The service withheld the answer.
        """
        return self.builder.build_last_chunk()

    def _add_choice(self, choice: dict[str, Any]) -> str:
        """Return the new text of a choice."""
        word = _read_text(choice.get("finish_reason"), "finish_reason")
        name, other = ("delta", "message") if self._is_stream else ("message", "delta")
        message = choice.get(name)
        if message is None:
            message = choice.get(other)
        if message is None and not word and not (self._is_stream and name in choice):
            _raise_malformed("a choice has neither content nor an end")
        text = "" if message is None else self._add_message(_require_object(message, "a message"))
        self.has_progressed = self.has_progressed or bool(text)
        new = self.builder.add_text(text)
        if word:
            self.builder.finish(finish_reason_for(word))
            self.has_progressed = True
        return new

    def _add_message(self, message: dict[str, Any]) -> str:
        """Return the text of a message, as the service sent it."""
        if message.get("refusal"):
            self.builder.note_refusal()
        for name in _REASONING_FIELDS:
            if message.get(name):
                self._add_reasoning(message[name])
                break
        if message.get("tool_calls"):
            for call in _require_list(message["tool_calls"], "tool_calls"):
                self._add_call(_require_object(call, "a tool call"))
        legacy = message.get("function_call")
        if legacy is not None:  # the form before tools: at most one call, without an id
            self._add_call({"index": 0, "function": legacy})
        content = message.get("content")
        if not isinstance(content, list):
            return _read_text(content, "content")
        return "".join(self._read_part(_require_object(part, "a part of content")) for part in content)

    def _add_reasoning(self, thought: object) -> None:
        """Take reasoning; what is not text, such as a list of encrypted parts, only shows that the model is at work."""
        self.has_progressed = self.has_progressed or bool(thought)
        if isinstance(thought, str):
            self._thought += self.builder.add_reasoning(thought)

    def _read_part(self, part: dict[str, Any]) -> str:
        """Return the text of a content part; some services send a message in parts."""
        kind = part.get("type")
        if kind == "refusal":
            self.builder.note_refusal()
        elif kind in _REASONING_PARTS:
            self._add_reasoning(next((part[name] for name in _REASONING_KEYS if part.get(name)), None))
            self.has_progressed = True
        elif kind in _TEXT_PARTS and isinstance(part.get("text"), str):
            return str(part["text"])
        else:
            _raise_malformed("a part of content is neither text nor reasoning")
        return ""

    def _add_call(self, piece: dict[str, Any]) -> None:
        if piece.get("type") not in {None, "", "function"}:
            _raise_malformed("a tool call is not a call of a function")
        function = _require_object(piece.get("function") or {}, "a called function")
        name, arguments = _read_text(function.get("name"), "the name of a called function"), function.get("arguments")
        if arguments is not None and not isinstance(arguments, (str, dict)):
            _raise_malformed("the arguments of a tool call are neither text nor an object")
        call_id, index = piece.get("id"), piece.get("index")
        call_id = None if call_id is None or isinstance(call_id, (dict, list)) else str(call_id)
        if self._is_stream:
            is_index = isinstance(index, int) and not isinstance(index, bool)
            self.builder.add_call_piece(
                index=index if is_index else None, id=call_id, name=name or None, arguments=arguments
            )
        else:
            self.builder.add_call(id=call_id, name=name or None, arguments=arguments)
        self.has_progressed = True


def _raise_malformed(what: str) -> NoReturn:
    raise InvalidReplyError(f"the answer is not what the protocol allows: {what}") from None


def _require_object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _raise_malformed(f"{what} is not an object")
    return value


def _require_list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        _raise_malformed(f"{what} is not a list")
    return value


def _read_text(value: object, what: str) -> str:
    if value is not None and not isinstance(value, str):
        _raise_malformed(f"{what} is not text")
    return value or ""


def _read_index(choice: object, number: int) -> int:
    """Return which of several answers a choice belongs to."""
    index = _require_object(choice, "a choice").get("index")
    if index is not None and not isinstance(index, int):
        _raise_malformed("the index of a choice is not a number")
    return number if index is None else index


def _parse_usage(value: object) -> Usage | None:
    """Return the token counts; None when they are incomplete."""
    if not isinstance(value, dict):
        return None
    prompt, answer = _count(value.get("prompt_tokens")), _count(value.get("completion_tokens"))
    if prompt is None or answer is None:
        return None
    return Usage(
        input_tokens=prompt,
        output_tokens=answer,
        cached_tokens=_count_detail(value.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count_detail(value.get("completion_tokens_details"), "reasoning_tokens"),
        cost_nano_usd=_convert_cost(value.get("cost")),
    )


def _convert_cost(usd: object) -> int | None:
    """Return a cost in billionths of a US dollar; None when none is stated. OpenRouter states it in dollars."""
    is_number = isinstance(usd, int | float) and not isinstance(usd, bool)
    return round(usd * NANO) if is_number and 0 <= usd <= MAX_COST_USD else None  # type: ignore[operator]


def _count_detail(details: object, name: str) -> int:
    return (_count(details.get(name)) if isinstance(details, dict) else None) or 0


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
