"""Odd answers as services write them, by protocol; and what a conversation says, read back from a request's body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from attrs import field, frozen
from hypothesis import strategies as st

from kickai_providers_core import FinishReason
from kickai_providers_core.testing.faults import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kickai_providers_core import ChatRequest
    from kickai_providers_core.testing.faults import Recorded

__all__ = ["PLAIN", "WIRES", "Odd", "OddCall", "expected", "odd_answers", "read", "strict"]

DEEP = 3000
"""Levels of nesting that no recursive parser or writer takes."""

TEXTS = (
    *("", " \n\t", "pong", "two words", "\x00", "a\x00b", "\x1b[31mred\x1b[0m", "\x85\x9b", "\u202eabc\u2066"),
    *("\ufeff{}", "\ud83d", "a\ude00b", "\U0001f600", "\ufffe\uffff", "NaN", "null", '{"a": 1}', "</think>"),
    *("x" * 100_000, "ä" * 5000),
)
IDS = (
    *(None, "null", '""', '"a"', '"a"', '"call_0"', "0", "7", '"  "', '"\\u0000"', '"\\ud83d"'),
    *('"' + "i" * 5000 + '"', '"a b/ü\\u202e"'),
)
"""As JSON; None for no id at all. The same one comes up more than once, so that calls share it."""

NAMES = (
    *("add", "sub_2", "functions.add:0", "get weather", "ünï", "a\x00b", "\x1b[31m", "n" * 300, "1st", "\ud83d"),
    "\u202eadd",
)
OBJECTS = (
    *("{}", '{"x": 1}', '{"q": "\\ud83d"}', '{"q": "\\ud83d\\ude00"}', '{"q": NaN}', '{"q": [Infinity, -Infinity]}'),
    *('{"q": 1e999}', '{"n": 9007199254740993}', '{"n": ' + "9" * 400 + "}", '{"n": ' + "9" * 5000 + "}"),
    *('{"x": 1, "x": 2}', '{"\\u0000": "\\u0000"}', '{"": null}', '{"f": 0.1}', '{"a": "' + "x" * 100_000 + '"}'),
    *('{"a":' * depth + "1" + "}" * depth for depth in (60, DEEP)),
)
OTHER = ("null", "[]", "[1]", "7", "true", '"text"')
CUT = (
    *('{"q": "Sat', "{", "", " ", "Saturday", "NaN", '{"q": 1}}', '{"q": "\\ud83', '{"q": "\ud83d"}', "\ufeff{}"),
    *("{'q': 1}", '{"q": "a\nb"}'),
)


def _short(value: str | None) -> str:
    """Return a repr that a failing test can show."""
    return ascii(value) if value is None or len(value) <= 80 else f"<{value[:20]!a} and {len(value) - 20} more>"


@frozen(kw_only=True)
class OddCall:
    """A tool call: its id and arguments as JSON text, or None when the service leaves them out."""

    name: str = field(default="add", repr=_short)
    id: str | None = field(default=None, repr=_short)
    arguments: str | None = field(default="{}", repr=_short)

    def members(self, named: str) -> str:
        """Return the members ``name`` and arguments of a JSON object."""
        return ",".join(filter(None, (f'"name":{_json(self.name)}', self.arguments and f'"{named}":{self.arguments}')))

    @property
    def id_member(self) -> str:
        """The member ``id`` with a comma after it; empty when there is none."""
        return "" if self.id is None else f'"id":{self.id},'


@frozen(kw_only=True)
class Odd:
    """What a service answers.

    Attributes:
        text: None is JSON's null.
        thinking: What the model thought; None for no such field.
        calls: Its tool calls.
        finish: ``usual``, ``length``, ``odd``, ``empty``, or ``null`` for none at all.
        cut: How many UTF-16 units a stream's first piece of text has.
        same_index: Whether a stream gives all calls the same index.
    """

    text: str | None = field(default="fine", repr=_short)
    thinking: str | None = None
    calls: tuple[OddCall, ...] = ()
    finish: str = "usual"
    cut: int = 1
    same_index: bool = False
    pieces: tuple[str, ...] = field(init=False, repr=False)

    @pieces.default
    def _cut(self) -> tuple[str, ...]:
        units = (self.text or "").encode("utf-16-le", "surrogatepass")
        parts = (units[: 2 * self.cut], units[2 * self.cut :])
        return tuple(part.decode("utf-16-le", "surrogatepass") for part in parts if part)


PLAIN = Odd()


def _arguments() -> st.SearchStrategy[str | None]:
    """Return a strategy for arguments as JSON: an object, its text, a part of one, nothing, or something else."""
    return st.one_of(
        st.sampled_from(OBJECTS),
        st.sampled_from(OBJECTS).map(_json),
        st.sampled_from((*CUT, *OTHER)).map(_json),
        st.sampled_from((*OTHER, None)),
    )


def odd_answers() -> st.SearchStrategy[Odd]:
    """Return a strategy for answers, of which each has some oddities, and seldom one that makes it no answer at all."""
    names = st.one_of(st.just("add"), st.just("sub_2"), st.sampled_from(NAMES))
    call = st.builds(OddCall, name=names, id=st.sampled_from(IDS), arguments=_arguments())
    return st.builds(
        Odd,
        text=st.one_of(st.just("pong"), st.sampled_from(TEXTS), st.text(max_size=5), st.none()),
        thinking=st.sampled_from((None, None, "", "Hm.", "\ud83d\x1b")),
        calls=st.one_of(st.just(()), st.lists(call, min_size=1, max_size=3).map(tuple)),
        finish=st.sampled_from((*("usual",) * 8, "length", "odd", "empty", "null")),
        cut=st.integers(1, 3),
        same_index=st.booleans(),
    )


def _json(value: object) -> str:
    return json.dumps(value)  # in ASCII: half characters are escapes


def _halves(arguments: str) -> tuple[str, ...]:
    """Return the arguments in the two pieces of a stream, when they are text; an object comes whole."""
    value = json.loads(arguments) if arguments.startswith('"') else ""
    if len(value) < 2:
        return (arguments,)
    return _json(value[: len(value) // 2]), _json(value[len(value) // 2 :])


class OddWire:
    """A service that gives `answer`, in its own protocol."""

    finishes: dict[str, Any]

    def __init__(self) -> None:
        self.answer = PLAIN

    def finish(self, odd: Odd) -> str:
        """Return the finish reason as JSON."""
        return _json(self.finishes["calls" if odd.finish == "usual" and odd.calls else odd.finish])

    def wants_stream(self, request: Recorded) -> bool:
        """Return whether the request wants a stream."""
        return bool(request.json().get("stream"))

    def reply(self, request: Recorded, text: str, finish: FinishReason = FinishReason.STOP) -> Response:
        """Return the answer whole."""
        return Response(headers={"content-type": "application/json"}, body=self.whole(self.answer, request).encode())

    def stream(
        self, request: Recorded, pieces: Sequence[str], finish: FinishReason = FinishReason.STOP
    ) -> tuple[Response, list[bytes]]:
        """Return the answer in events."""
        head = Response(headers={"content-type": "text/event-stream"})
        return head, [f"data: {event}\n\n".encode() for event in self.events(self.answer, request)]

    def error(self, request: Recorded, status: int, kind: str) -> Response:
        """Return no error: nothing is scripted."""
        raise NotImplementedError

    def whole(self, odd: Odd, request: Recorded) -> str:
        """Return the answer as JSON."""
        raise NotImplementedError

    def events(self, odd: Odd, request: Recorded) -> list[str]:
        """Return the events of a streamed answer as JSON."""
        raise NotImplementedError


class ChatCompletions(OddWire):
    """OpenAI's protocol, as Hugging Face's servers and llama.cpp speak it."""

    finishes = {"usual": "stop", "calls": "tool_calls", "length": "length", "odd": "eos", "empty": "", "null": None}  # noqa: RUF012

    def whole(self, odd: Odd, request: Recorded) -> str:
        """Return the answer as JSON."""
        calls = ",".join(f'{{{call.id_member}"function":{{{call.members("arguments")}}}}}' for call in odd.calls)
        thought = f',"reasoning_content":{_json(odd.thinking)}' if odd.thinking is not None else ""
        message = f'{{"role":"assistant","content":{_json(odd.text)}{thought},"tool_calls":[{calls}]}}'
        choice = f'{{"index":0,"message":{message},"finish_reason":{self.finish(odd)}}}'
        return f'{{"id":"c-1","model":"m","choices":[{choice}]}}'

    def events(self, odd: Odd, request: Recorded) -> list[str]:
        """Return the chunks, with each call's arguments in two of them."""
        deltas = [f'{{"reasoning_content":{_json(odd.thinking)}}}'] if odd.thinking is not None else []
        deltas += [f'{{"content":{_json(piece)}}}' for piece in odd.pieces]
        for place, call in enumerate(odd.calls):
            index = 0 if odd.same_index else place
            first, *rest = _halves(call.arguments) if call.arguments else ("",)
            members = OddCall(name=call.name, arguments=first or None).members("arguments")
            deltas.append(f'{{"tool_calls":[{{"index":{index},{call.id_member}"function":{{{members}}}}}]}}')
            deltas += [f'{{"tool_calls":[{{"index":{index},"function":{{"arguments":{each}}}}}]}}' for each in rest]
        events = [f'{{"id":"c-1","choices":[{{"index":0,"delta":{delta}}}]}}' for delta in deltas]
        events.append(f'{{"id":"c-1","choices":[{{"index":0,"delta":{{}},"finish_reason":{self.finish(odd)}}}]}}')
        return [*events, "[DONE]"]


class Completions(ChatCompletions):
    """The same from llama.cpp, which is used only for streams and without tools."""

    def events(self, odd: Odd, request: Recorded) -> list[str]:
        """Return the chunks without calls, of which none were offered."""
        return super().events(Odd(text=odd.text, thinking=odd.thinking, finish=odd.finish, cut=odd.cut), request)


class Ollama(OddWire):
    """Ollama's JSON and JSON lines."""

    finishes = {"usual": "stop", "calls": "stop", "length": "length", "odd": "eos", "empty": "", "null": None}  # noqa: RUF012

    def whole(self, odd: Odd, request: Recorded) -> str:
        """Return the answer as JSON."""
        return self._part(odd, odd.text, odd.calls, last=True)

    def events(self, odd: Odd, request: Recorded) -> list[str]:
        """Return the lines: text, calls, and the end."""
        texts = [self._part(odd, piece, ()) for piece in odd.pieces]
        return [*texts, *(self._part(odd, "", (call,)) for call in odd.calls), self._part(odd, "", (), last=True)]

    def _part(self, odd: Odd, text: str | None, calls: tuple[OddCall, ...], *, last: bool = False) -> str:
        written = ",".join(f'{{{call.id_member}"function":{{{call.members("arguments")}}}}}' for call in calls)
        thought = f',"thinking":{_json(odd.thinking)}' if odd.thinking is not None else ""
        message = f'{{"role":"assistant","content":{_json(text)}{thought},"tool_calls":[{written}]}}'
        end = f'"done":true,"done_reason":{self.finish(odd)}' if last else '"done":false'
        return f'{{"model":"m","created_at":"2026-11-23T06:45:00Z","message":{message},{end}}}'

    def stream(
        self, request: Recorded, pieces: Sequence[str], finish: FinishReason = FinishReason.STOP
    ) -> tuple[Response, list[bytes]]:
        """Return the answer in lines."""
        head = Response(headers={"content-type": "application/x-ndjson"})
        return head, [f"{event}\n".encode() for event in self.events(self.answer, request)]


class Gemini(OddWire):
    """The Gemini API: JSON, server-sent events for the new client, a JSON array for the old one."""

    finishes = {"usual": "STOP", "calls": "STOP", "length": "MAX_TOKENS", "odd": "BRAND_NEW", "empty": "", "null": None}  # noqa: RUF012
    numbers = {"STOP": 1, "MAX_TOKENS": 2, "BRAND_NEW": 99, "": 0, None: None}  # noqa: RUF012

    def wants_stream(self, request: Recorded) -> bool:
        """Say whether the method is the streaming one."""
        return ":streamGenerateContent" in request.path

    def whole(self, odd: Odd, request: Recorded) -> str:
        """Return the answer as JSON."""
        texts = () if odd.text is None else (odd.text,)
        return self._part(odd, request, texts, odd.calls, last=True)

    def events(self, odd: Odd, request: Recorded) -> list[str]:
        """Return the responses of a stream: text, calls, and the end."""
        texts = [self._part(odd, request, (piece,), ()) for piece in odd.pieces]
        calls = [self._part(odd, request, (), (call,)) for call in odd.calls]
        return [*texts, *calls, self._part(odd, request, ("",), (), last=True)]

    def _part(
        self, odd: Odd, request: Recorded, texts: tuple[str, ...], calls: tuple[OddCall, ...], *, last: bool = False
    ) -> str:
        parts = [f'{{"text":{_json(odd.thinking)},"thought":true}}'] if odd.thinking is not None else []
        parts += [f'{{"text":{_json(text)}}}' for text in texts]
        parts += [f'{{"functionCall":{{{call.id_member}{call.members("args")}}}}}' for call in calls]
        reason = self.finish(odd)
        if "enum-encoding" in request.path:
            reason = _json(self.numbers[json.loads(reason)])
        end = f',"finishReason":{reason}' if last and reason != "null" else ""
        candidate = f'{{"content":{{"role":"model","parts":[{",".join(parts)}]}},"index":0{end}}}'
        return f'{{"candidates":[{candidate}],"modelVersion":"m","responseId":"r-1"}}'

    def stream(
        self, request: Recorded, pieces: Sequence[str], finish: FinishReason = FinishReason.STOP
    ) -> tuple[Response, list[bytes]]:
        """Return the answer in events, or as an array."""
        if parse_qs(urlsplit(request.path).query).get("alt") == ["sse"]:
            return super().stream(request, pieces, finish)
        events = [event.encode() for event in self.events(self.answer, request)]
        head = Response(headers={"content-type": "application/json; charset=UTF-8"})
        return head, [*((b",\r\n" if place else b"[") + event for place, event in enumerate(events)), b"]"]


WIRES: dict[str, Callable[[], OddWire]] = {
    "huggingface": ChatCompletions,
    "openai": ChatCompletions,
    "gemini-old": Gemini,
    "gemini-new": Gemini,
    "ollama": Ollama,
    "local": Completions,
}
"""The service of each provider."""

Event = tuple[Any, ...]


def strict(body: bytes) -> Any:
    """Return the value of a body; the test fails unless it is JSON in the sense of RFC 8259, in valid Unicode."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    value = json.loads(body.decode("utf-8"), parse_constant=refuse)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    return value


def expected(request: ChatRequest) -> list[Event]:
    """Return what a conversation says, in order: texts, calls, and results with the number of their call."""
    events: list[Event] = []
    calls: list[str] = []
    waiting: dict[str, int] = {}
    for message in request.messages:
        if message.role == "tool":
            events.append(("result", waiting.pop(message.tool_call_id or ""), message.content))
            continue
        if message.content:
            events.append((message.role, message.content))
        for call in message.tool_calls:
            assert call.id not in waiting, "two calls of an answer share an id"
            waiting[call.id] = len(calls)
            calls.append(call.id)
            events.append(("call", call.name, call.arguments))
    return events


def read(provider: str, body: Any) -> list[Event]:
    """Return the same from the body of a request; the test fails where a result does not match a call."""
    found = _from_gemini(body) if provider.startswith("gemini") else _from_messages(provider, body)
    events: list[Event] = []
    waiting: dict[str, tuple[int, str]] = {}
    made = 0
    for kind, *rest in found:
        if kind == "call":
            call_id, name, arguments = rest
            assert call_id
            assert call_id not in waiting, "two calls that wait for their results share an id"
            waiting[call_id] = made, name
            made += 1
            events.append(("call", name, arguments))
        elif kind == "result":
            call_id, name, content = rest
            number, called = waiting.pop(call_id)
            assert name in {None, called}, "a result names another function than its call"
            events.append(("result", number, content))
        elif rest[0]:
            events.append((kind, *rest))
    assert not waiting
    return events


def _from_messages(provider: str, body: Any) -> list[Event]:
    events: list[Event] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            name = message["tool_name"] if provider == "ollama" else None
            events.append(("result", message["tool_call_id"], name, message["content"]))
            continue
        events.append((message["role"], message["content"]))
        events += [
            ("call", call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls", ())
        ]
    return events


def _from_gemini(body: Any) -> list[Event]:
    events: list[Event] = []
    for ticket in body["contents"]:
        for part in ticket["parts"]:
            if "functionCall" in part:
                call = part["functionCall"]
                events.append(("call", call["id"], call["name"], call.get("args", {})))
            elif "functionResponse" in part:
                result = part["functionResponse"]
                events.append(("result", result["id"], result["name"], result["response"]["result"]))
            else:
                events.append(("assistant" if ticket["role"] == "model" else "user", part["text"]))
    return events
