"""From a request to what llama.cpp is asked, and from what it answers to text, chunks and errors. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from kickai_providers_core import (
    ContextLengthExceededError,
    FinishReason,
    InvalidReplyError,
    ProviderUnavailableError,
    ReplyChunk,
    UnsupportedRequestError,
    Usage,
)
from kickai_providers_core.authoring import SurrogateJoiner, as_object, check_answer, dump_bytes, dumps, loads
from kickai_providers_core.values.plain_text import count

from kickai_local.sealed import Sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kickai_providers_core import ChatRequest, Message, ProviderError

__all__ = ["Answer", "body", "refusal"]

FINISH_REASONS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}

DONE = b"[DONE]"
"""The event that ends every stream."""

REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
"""Statuses of a request that this model cannot serve; another target may."""

CAUSES = {
    "schema": ": it cannot hold the model to this JSON schema",
    "template": ": the model's chat template does not take these messages",
}
"""By a word of its message, what llama.cpp refused."""


def body(request: ChatRequest, max_tokens: int) -> Sealed:
    """Return the JSON body for ``/v1/chat/completions``.

    Args:
        request: What to ask.
        max_tokens: The most tokens to answer with; llama.cpp would go on until the window is full.

    Raises:
        UnsupportedRequestError: The request has images or tools, or something that JSON cannot express.
    """
    if request.tools or any(message.images for message in request.messages):
        raise UnsupportedRequestError("this provider supports neither tools nor images")
    asked: dict[str, Any] = {
        "messages": [_message(message) for message in request.messages],
        "max_tokens": max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.stop:
        asked["stop"] = list(request.stop)
    if request.seed is not None:
        asked["seed"] = request.seed
        asked["cache_prompt"] = False  # a prompt half read from a cache may give other numbers in the last digits
    for name in ("temperature", "top_p", "json_schema"):
        value = getattr(request, name)
        if value is not None:
            asked[name] = value
    return Sealed(dump_bytes(asked))


def _message(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        # llama.cpp fails on arguments that are not a JSON object: a model may have been cut off while it wrote them.
        told["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": dumps(as_object(call.arguments))},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        told["tool_call_id"] = message.tool_call_id
    return told


class Answer:
    """One streamed answer, read event by event.

    Args:
        model: The name of the model that answers.
        max_tokens: The most tokens that it was asked for.
        omitted: What of the request it was not asked for.
        schema: The JSON schema that a finished answer must keep to; None for none.
    """

    def __init__(
        self,
        model: str,
        max_tokens: int,
        omitted: tuple[str, ...] = (),
        *,
        schema: Mapping[str, Any] | None = None,
    ) -> None:
        self._model = model
        self._omitted = omitted
        self._schema = schema
        self._joiner = SurrogateJoiner()
        self._texts: list[str] = []
        self._max_tokens = max_tokens
        self._finish_reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._request_id: str | None = None

    def texts(self, events: Iterable[Sealed]) -> Iterator[str]:
        """Yield the text of each event that shows the model at work; it is empty while the model only thinks.

        Raises:
            InvalidReplyError: An event is not what llama.cpp writes.
            ProviderError: An event tells of a failure.
        """
        for event in events:
            text = None if event == DONE else self._read(event)
            if text is not None:
                yield self._joined(text)

    def _joined(self, text: str) -> str:
        """Return a piece of text with its split characters joined, and keep it while a schema is to be checked."""
        text = self._joiner.feed(text)
        if self._schema is not None:
            self._texts.append(text)
        return text

    def _read(self, event: Sealed) -> str | None:
        try:
            told = loads(event)
            if "error" in told:
                raise refusal(int(told["error"]["code"]), told)
            self._take(told)
            choices = told["choices"]
            if len(choices) > 1 or (choices and choices[0].get("index", 0) != 0):
                raise InvalidReplyError("llama.cpp wrote more than the one answer that it was asked for")
            choice = choices[0] if choices else {}
            if choice.get("finish_reason") is not None:
                self._finish_reason = FINISH_REASONS[choice["finish_reason"]]
            delta = choice.get("delta") or {}
            if delta.get("tool_calls"):
                raise InvalidReplyError("llama.cpp wrote a tool call, and no tools were offered")
            text = delta.get("content") or ("" if delta.get("reasoning_content") else None)
            if not isinstance(text, str | None):
                raise TypeError
            return text
        except (
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            RecursionError,
        ):  # its traceback may show the answer
            raise InvalidReplyError("llama.cpp wrote an event of an unknown form") from None

    def _take(self, read: dict[str, Any]) -> None:
        self._request_id = read.get("id") or self._request_id
        if read.get("usage"):
            counted = read["usage"]
            self._usage = Usage(
                input_tokens=counted["prompt_tokens"],
                output_tokens=counted["completion_tokens"],
                cached_tokens=(counted.get("prompt_tokens_details") or {}).get("cached_tokens", 0),
            )

    def end(self) -> ReplyChunk:
        """Return the last chunk, when the stream has ended.

        Raises:
            InvalidReplyError: It ended before the model did.
            ContextLengthExceededError: The window was full before the model was done, or had its tokens.
        """
        if self._finish_reason is None:
            raise InvalidReplyError("the answer was cut: it ended without a finish reason")
        rest = self._joiner.finish()
        if self._schema is not None and self._finish_reason is FinishReason.STOP:
            check_answer("".join(self._texts) + rest, self._schema)
        used = self._usage
        if self._finish_reason is FinishReason.LENGTH and used is not None and used.output_tokens < self._max_tokens:
            raise ContextLengthExceededError("prompt and answer do not fit the window", limit_tokens=used.total_tokens)
        return ReplyChunk(
            text=rest,
            finish_reason=self._finish_reason,
            usage=used,
            model=self._model,
            request_id=self._request_id,
            omitted=self._omitted,
        )


def refusal(status: int, read: Any) -> ProviderError:
    """Return the error for an answer with a status other than 200. It repeats none of llama.cpp's own words.

    Args:
        status: The HTTP status.
        read: The body, parsed, or None when it was no JSON.
    """
    error = read.get("error") if isinstance(read, dict) else None
    error = error if isinstance(error, dict) else {}
    if error.get("type") == "exceed_context_size_error":
        limit, asked = error.get("n_ctx"), error.get("n_prompt_tokens")
        size = count(asked, "token") if isinstance(asked, int) else "too many tokens"
        told = f"the prompt has {size}, the window {limit}"
        return ContextLengthExceededError(told, limit_tokens=limit, status_code=status)
    if status in REFUSED:
        about = str(error.get("message", "")).lower()
        cause = next((cause for word, cause in CAUSES.items() if word in about), "")
        return UnsupportedRequestError(f"llama.cpp refused the request{cause}", status_code=status)
    return ProviderUnavailableError("llama.cpp failed", status_code=status)
