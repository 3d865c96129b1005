"""Read chat completions and TGI's text generation into replies and chunks. Pure.

Nothing is trusted, and nothing is skipped: what the protocol does not allow is an `InvalidReplyError`. What it allows
and this project has no use for (log probabilities, reasoning, annotations) is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from kickai_providers_core import ContentFilteredError, FinishReason, InvalidReplyError, Reply, Usage
from kickai_providers_core.authoring.json_schema import check_answer
from kickai_providers_core.authoring.text import SurrogateJoiner
from kickai_providers_core.authoring.tool_calls import ToolCallAssembler

from kickai_hf import verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core import ChatRequest, ToolCall

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

_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Where servers put a model's reasoning. It is no part of the answer, but a sign that one is on its way."""

_NO_TEXT = frozenset({"thinking", "reasoning", "redacted_thinking"})
"""Types of content parts that hold a model's reasoning."""

MAX_WORD = 200
"""The most characters of a model's name or a request's id that are kept."""


class Answer:
    """One answer as it comes in, whole or event by event. Used by one thread, or one task, at a time.

    Args:
        request: What was requested.
        stop: Texts that end the answer. What a server sends after one is cut off here, and so is the text itself, which
            some servers (TGI) repeat.
        streamed: Whether the documents are events of a stream.

    Attributes:
        model: The model that answers, in the service's words; empty until it is known.
        id: The service's name for the answer, or None.
        progressed: Whether the last document brought text, reasoning, a part of a tool call, or the end.
    """

    def __init__(self, request: ChatRequest, stop: Sequence[str], *, streamed: bool) -> None:
        self._request = request
        self._streamed = streamed
        self._stops = _Stops(stop)
        self._joiner = SurrogateJoiner()
        self._texts: list[str] = []
        self._calls = ToolCallAssembler()
        self._ids: list[str | None] = []
        self._word: str | None = None
        self._ended = self._settled = False
        self._refused = False
        self._usage: Usage | None = None
        self.model = ""
        self.id: str | None = None
        self.progressed = False

    @property
    def finished(self) -> bool:
        """Whether the service has said why the model stopped, and has sent nothing of the answer since."""
        return self._settled

    def add_chat(self, document: object) -> str:
        """Take a chat completion, or one event of its stream; return the text that is new.

        Raises:
            InvalidReplyError: It is not what the protocol allows.
            ProviderError: It is an error with status 200.
        """
        found = self._opened(document)
        usage = found.get("usage")
        self._usage = _chat_usage(usage) or self._usage
        choices = found.get("choices")
        if choices is None and isinstance(usage, dict):
            choices = []  # an event that only counts tokens
        text = "".join(
            self._add_choice(choice)
            for number, choice in enumerate(_list(choices, "choices"))
            if _index(choice, number) == 0  # one answer was requested: others are not a part of it
        )
        return self._pass(text)

    def add_text(self, document: object) -> str:
        """Take an answer of TGI's with details, or one event of its stream; return the text that is new.

        Raises:
            InvalidReplyError: It is not what the protocol allows.
            ProviderError: It is an error with status 200.
        """
        if isinstance(document, list) and len(document) == 1:
            document = document[0]
        found = self._opened(document)
        details, token, whole = found.get("details"), found.get("token"), found.get("generated_text")
        if details is not None:
            self._add_details(_dict(details, "details"))
        if self._streamed and token is not None:
            token = _dict(token, "token")
            text = _text(token.get("text"), "a token's text")
            text = "" if token.get("special") is True else text
        elif whole is not None or details is not None:
            text = _text(whole, "generated_text")
        else:
            _misread("it has neither token nor generated_text")
        return self._pass(text)

    def end(self, request_id: str | None) -> tuple[Reply, str]:
        """Return the whole reply, and the end of its text that no ``add`` has returned.

        Raises:
            InvalidReplyError: It is cut, empty, or does not keep to what the request demands.
            ContentFilteredError: It was withheld.
        """
        last = self._joiner.finish()
        rest = self._stops.pass_on(last) + self._stops.rest() if last else self._stops.rest()
        text = "".join((*self._texts, rest))
        calls = self._calls.finish()
        finish = self._finish(calls)
        self._check(finish, text, calls)
        reply = Reply(
            text=text,
            finish_reason=finish,
            usage=self._usage,
            model=self.model,
            tool_calls=calls,
            request_id=request_id or self.id,
        )
        return reply, rest

    def _opened(self, document: object) -> dict[str, Any]:
        """Return the document as an object; note who answers."""
        verdicts.raise_for_error_in(document)
        found = _dict(document, "it")
        self.progressed = self._ended = False
        if not self.model:
            self.model = verdicts.printable(found.get("model"))
        if self.id is None:
            self.id = verdicts.printable(found.get("id")) or None
        return found

    def _add_choice(self, choice: dict[str, Any]) -> str:
        word = self._note_end(choice)
        names = ("delta", "message") if self._streamed else ("message", "delta")
        said = next((choice[name] for name in names if choice.get(name) is not None), None)
        if said is None:
            if not word and not (self._streamed and names[0] in choice):
                _misread("a choice has neither content nor an end")
            return ""
        said = _dict(said, "a message")
        self._refused = self._refused or bool(said.get("refusal"))
        self.progressed = self.progressed or any(said.get(name) for name in _THOUGHTS)
        self._add_calls(said)
        return self._content(said.get("content"))

    def _content(self, content: object) -> str:
        """Return the text of a message; some providers send it in parts."""
        if not isinstance(content, list):
            return _text(content, "content")
        texts = []
        for part in content:
            kind = _dict(part, "a part of content").get("type")
            if kind == "refusal":
                self._refused = True
            elif kind in _NO_TEXT:
                self.progressed = True
            elif kind in {"text", "output_text", None} and isinstance(part.get("text"), str):
                texts.append(part["text"])
            else:
                _misread("a part of content is neither text nor reasoning")
        return "".join(texts)

    def _add_calls(self, said: dict[str, Any]) -> None:
        pieces = _list(said.get("tool_calls"), "tool_calls", default=())
        for piece in pieces:
            self._add_call(_dict(piece, "a tool call"))
        old = said.get("function_call")
        if old is not None:  # the form before tools; at most one, and without an id
            self._add_call({"index": 0, "function": old})

    def _add_call(self, piece: dict[str, Any]) -> None:
        if piece.get("type") not in {None, "", "function"}:
            _misread("a tool call is not a call of a function")
        function = _dict(piece.get("function") or {}, "a called function")
        index, given, arguments = piece.get("index"), piece.get("id"), function.get("arguments")
        if not isinstance(index, int) or isinstance(index, bool):
            index = None
        name = _text(function.get("name"), "the name of a called function")
        name_of_call = None if given is None or isinstance(given, (dict, list)) else str(given)
        if not self._streamed:  # here each entry is a call, whatever its index and its id say
            index = len(self._ids)
            name_of_call = None if name_of_call in self._ids else name_of_call
            self._ids.append(name_of_call)
        if arguments is not None and not isinstance(arguments, (str, dict)):
            _misread("the arguments of a tool call are neither text nor an object")
        self._calls.add(
            index=index,
            id=name_of_call,
            name=name or None,
            arguments=arguments,
        )
        self.progressed = True

    def _add_details(self, details: dict[str, Any]) -> None:
        self._note_end(details)
        prefill = details.get("prefill")
        prompt = details.get("input_length") or (len(prefill) if isinstance(prefill, list) else 0)
        self._usage = _usage(prompt or None, details.get("generated_tokens")) or self._usage

    def _note_end(self, found: dict[str, Any]) -> str:
        """Return why the model stopped, where the document says so."""
        word = _text(found.get("finish_reason"), "finish_reason")
        if word:
            self._word, self._ended = word, True
        return word

    def _pass(self, text: str) -> str:
        self.progressed = self.progressed or bool(text)
        self._settled = self._ended or (self._settled and not self.progressed)
        self.progressed = self.progressed or self._ended
        new = self._stops.pass_on(self._joiner.feed(text)) if text else ""
        if new:
            self._texts.append(new)
        return new

    def _finish(self, calls: tuple[ToolCall, ...]) -> FinishReason:
        if self._stops.reached:
            return FinishReason.STOP
        if self._word is None:
            raise InvalidReplyError("the answer ended without a finish reason: it may be cut")
        finish = _FINISH.get(self._word.lower())
        if finish is None:
            raise InvalidReplyError("the finish reason is unknown")
        return FinishReason.TOOL_CALL if calls and finish is FinishReason.STOP else finish

    def _check(self, finish: FinishReason, text: str, calls: tuple[ToolCall, ...]) -> None:
        """Raise when this is not what was requested: some endpoints ignore a constraint without a word."""
        request = self._request
        if finish is FinishReason.CONTENT_FILTER or (self._refused and not text):
            raise ContentFilteredError("the provider withheld the answer", reason=verdicts.printable(self._word))
        if not text and not calls:
            by_request = finish is FinishReason.LENGTH or self._stops.reached
            raise InvalidReplyError(f"the answer is empty (finish reason {finish.value})", due_to_request=by_request)
        if finish is FinishReason.LENGTH or calls:
            return
        if request.tools and request.tool_choice not in {None, "auto", "none"}:
            raise InvalidReplyError(
                "the model called no tool, though it had to: the endpoint ignores tool_choice", due_to_request=True
            )
        if request.json_schema is not None:
            check_answer(text, request.json_schema)


class _Stops:
    """Passes text on up to the first stop text, and holds back what may be the beginning of one."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._held = ""
        self.reached = False

    def pass_on(self, text: str) -> str:
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


def _misread(what: str) -> NoReturn:
    raise InvalidReplyError(f"the answer is not what the protocol allows: {what}")


def _dict(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _misread(f"{what} is not an object")
    return value


def _list(value: object, what: str, default: Sequence[Any] | None = None) -> Sequence[Any]:
    if value is None and default is not None:
        return default
    if not isinstance(value, list):
        _misread(f"{what} is not a list")
    return value


def _text(value: object, what: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        _misread(f"{what} is not a text")
    return value


def _index(choice: object, number: int) -> int:
    """Return which of several answers a choice belongs to."""
    index = _dict(choice, "a choice").get("index")
    if index is None:
        return number
    if not isinstance(index, int):
        _misread("the index of a choice is not a number")
    return index


def _chat_usage(usage: object) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    return _usage(
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        cached=_detail(usage, "prompt_tokens_details", "cached_tokens"),
        reasoning=_detail(usage, "completion_tokens_details", "reasoning_tokens"),
    )


def _usage(prompt: object, answer: object, *, cached: int = 0, reasoning: int = 0) -> Usage | None:
    counted = (_count(prompt), _count(answer))
    if counted[0] is None or counted[1] is None:
        return None
    return Usage(input_tokens=counted[0], output_tokens=counted[1], cached_tokens=cached, reasoning_tokens=reasoning)


def _detail(usage: dict[str, Any], group: str, name: str) -> int:
    found = usage.get(group)
    return (_count(found.get(name)) if isinstance(found, dict) else None) or 0


def _count(value: object) -> int | None:
    """Return a number of tokens, or None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
