"""From what the vendor's client returns to replies and chunks: pure, and trusting nothing.

The client parses leniently: what an answer lacks becomes None, what it does not know it keeps, whatever the type. So a
failure with status 200 looks like a success until somebody asks for the answer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kickai_providers_core.errors import ContentFilteredError, InvalidReplyError
from kickai_providers_core.messages import FinishReason, Reply, ToolCall, Usage

from kickai_hf import schema, verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core.messages import ChatRequest

__all__ = ["Answer"]

_FINISH = {
    # OpenAI's words, then TGI's, then others that inference providers let through.
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


class Answer:
    """One answer as it comes in, at once or in pieces.

    Args:
        request: What was asked.
        stop: Texts that end the answer. A server that takes no heed of them is cut off here, one that repeats them
            (as TGI does) is trimmed.
    """

    def __init__(self, request: ChatRequest, stop: Sequence[str]) -> None:
        self._request = request
        self._stops = _Stops(stop)
        self._texts: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._word: str | None = None
        self._refused = False
        self._usage: Usage | None = None
        self.model = ""

    @property
    def finished(self) -> bool:
        """Whether the service has said why the model stopped."""
        return self._word is not None

    def add_chat(self, output: Any) -> str:
        """Take an answer, or an event of a stream, of ``chat_completion``; return the text that is new.

        Raises:
            ProviderError: It is an error in disguise.
        """
        verdicts.raise_for_error_in(output)
        self.model = self.model or _string(output.model)
        self._usage = _chat_usage(output.usage) or self._usage
        choices = output.choices if isinstance(output.choices, list) else []
        if not choices:  # the last event of a stream, which only counts tokens; or no answer at all
            return ""
        choice = choices[0]
        said = _said(choice)
        self._word = _string(getattr(choice, "finish_reason", None)) or self._word
        self._refused = self._refused or bool(getattr(said, "refusal", None))
        for number, call in enumerate(getattr(said, "tool_calls", None) or ()):
            self._add_call(number, call)
        return self._add_text(_content(getattr(said, "content", None)))

    def add_text(self, output: Any) -> str:
        """Take an answer, or an event of a stream, of ``text_generation`` with details; return the text that is new.

        Raises:
            ProviderError: It is an error in disguise.
        """
        verdicts.raise_for_error_in(output)
        details = output.details
        token = getattr(output, "token", None)
        self._word = _string(getattr(details, "finish_reason", None)) or self._word
        prompt = getattr(details, "input_length", None) or len(getattr(details, "prefill", None) or ())
        self._usage = _usage(prompt or None, getattr(details, "generated_tokens", None)) or self._usage
        if token is None:
            return self._add_text(_string(output.generated_text))
        return "" if token.special else self._add_text(_string(token.text))

    def end(self, request_id: str | None) -> tuple[Reply, str]:
        """Return the whole reply, and the end of its text that no ``add`` has returned.

        Raises:
            InvalidReplyError: It is cut, empty, or does not do what was asked for.
            ContentFilteredError: It was withheld.
        """
        rest = self._stops.rest()
        text = "".join((*self._texts, rest))
        calls = tuple(ToolCall(**call) for _, call in sorted(self._calls.items()))
        finish = self._finish(calls)
        self._check(finish, text, calls)
        reply = Reply(
            text=text,
            finish_reason=finish,
            usage=self._usage,
            model=self.model,
            tool_calls=calls,
            request_id=request_id,
        )
        return reply, rest

    def _add_text(self, text: str) -> str:
        new = self._stops.passed(text)
        if new:
            self._texts.append(new)
        return new

    def _add_call(self, number: int, piece: Any) -> None:
        index = getattr(piece, "index", None)
        call = self._calls.setdefault(
            index if isinstance(index, int) else number, {"id": "", "name": "", "arguments": ""}
        )
        function = getattr(piece, "function", None)
        call["id"] = call["id"] or _string(getattr(piece, "id", None))
        call["name"] = call["name"] or _string(getattr(function, "name", None))
        arguments = getattr(function, "arguments", None)
        # An object rather than its text: TGI before its third version.
        call["arguments"] += json.dumps(arguments) if isinstance(arguments, dict) else _string(arguments)

    def _finish(self, calls: tuple[ToolCall, ...]) -> FinishReason:
        if self._stops.reached:
            return FinishReason.STOP
        if self._word is None:
            raise InvalidReplyError("the answer ended without saying why: it may be cut")
        finish = _FINISH.get(self._word.lower())
        if finish is None:
            raise InvalidReplyError("the model stopped for a reason that is not known")
        return FinishReason.TOOL_CALL if calls and finish is FinishReason.STOP else finish

    def _check(self, finish: FinishReason, text: str, calls: tuple[ToolCall, ...]) -> None:
        """Raise when this is not what was asked for; some endpoints take no heed of a constraint, and say nothing."""
        request = self._request
        if finish is FinishReason.CONTENT_FILTER or (self._refused and not text):
            raise ContentFilteredError("the provider withheld the answer", reason=self._word or "refusal")
        if not text and not calls:
            raise InvalidReplyError(f"the answer is empty (finish reason {finish.value})")
        if finish is FinishReason.LENGTH or calls:
            return
        if request.tools and request.tool_choice not in {None, "auto", "none"}:
            raise InvalidReplyError("the model called no tool, though it had to: the endpoint ignores tool_choice")
        if request.json_schema is not None and not schema.keeps_to(text, request.json_schema):
            raise InvalidReplyError("the answer does not keep to the JSON schema: the endpoint ignores it")


class _Stops:
    """Passes text on up to the first stop text, and holds back what may be the beginning of one."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._held = ""
        self.reached = False

    def passed(self, text: str) -> str:
        """Take more text; return what certainly belongs to the answer."""
        if not self._stop or self.reached:
            return "" if self.reached else text
        text = self._held + text
        found = [at for at in map(text.find, self._stop) if at >= 0]
        self.reached = bool(found)
        cut = min(found) if found else len(text) - self._beginning_of_a_stop(text)
        self._held = "" if found else text[cut:]
        return text[:cut]

    def rest(self) -> str:
        """Return what was held back, now that nothing follows."""
        return self._held

    def _beginning_of_a_stop(self, text: str) -> int:
        longest = min(max(map(len, self._stop)) - 1, len(text))
        return next(
            (size for size in range(longest, 0, -1) if any(stop.startswith(text[-size:]) for stop in self._stop)), 0
        )


def _said(choice: Any) -> Any:
    """Return the message of an answer, or the delta of an event: whichever the client knows, and has parsed."""
    parts = (getattr(choice, name, None) for name in ("message", "delta"))
    return next((part for part in parts if hasattr(part, "role")), None)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _content(content: Any) -> str:
    """Return the text of a message; some providers send it in parts."""
    if isinstance(content, list):
        return "".join(_string(part.get("text")) for part in content if isinstance(part, dict))
    return _string(content)


def _chat_usage(usage: Any) -> Usage | None:
    if usage is None:
        return None
    return _usage(
        getattr(usage, "prompt_tokens", None),
        getattr(usage, "completion_tokens", None),
        cached=_detail(usage, "prompt_tokens_details", "cached_tokens"),
        reasoning=_detail(usage, "completion_tokens_details", "reasoning_tokens"),
    )


def _usage(prompt: Any, answer: Any, *, cached: int = 0, reasoning: int = 0) -> Usage | None:
    if not isinstance(prompt, int) or not isinstance(answer, int):
        return None
    return Usage(input_tokens=prompt, output_tokens=answer, cached_tokens=cached, reasoning_tokens=reasoning)


def _detail(usage: Any, group: str, name: str) -> int:
    found = getattr(usage, group, None)
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, int) else 0
