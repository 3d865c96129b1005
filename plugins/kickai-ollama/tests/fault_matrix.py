"""What can go wrong between this plugin and a server, and what becomes of it: the rows of docs/fault-matrix.md.

``python tests/fault_matrix.py`` writes the document; the tests hold every row against the real client, and the
document against the rows.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen
from kickai_providers_core import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidReplyError,
    ModelNotFoundError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    UnsupportedRequestError,
)
from kickai_providers_core.authoring.json_lines import MAX_LINE_BYTES
from kickai_providers_core.authoring.limits import MAX_ANSWER_BYTES
from kickai_providers_core.testing.faults import (
    CloseEarly,
    Cut,
    Delay,
    Drip,
    EmptyBody,
    ErrorPiece,
    Fault,
    HugeBody,
    Malformed,
    MalformedPiece,
    NotHttp,
    Redirect,
    RedirectLoop,
    Reset,
    ShortBody,
    Silence,
    SlowFirstToken,
    SlowHeaders,
    Stall,
    Status,
    WrongContentType,
    WrongShape,
)
from ollama_wire import MODEL, SAYINGS

if TYPE_CHECKING:
    from kickai_providers_core import ProviderError
    from kickai_providers_core.testing.faults.exchange import Exchange

DOCUMENT = Path(__file__).parents[1] / "docs" / "fault-matrix.md"

TIMEOUT_S = 0.3
"""The whole attempt, in the rows in which that runs out."""

BOUND_S = 0.2
"""Connecting, the first token and idleness, in the rows in which one of those runs out."""

ALL = ("invoke", "ainvoke", "stream", "astream")
STREAMS = ("stream", "astream")

BAD_FORM = "the answer cannot be read: it is not in the form of Ollama's protocol"
CUT_OFF = "the answer was cut: the connection ended in the middle of it"
HUNG_UP = "the service hung up, or does not speak HTTP at URL"
NOT_ACCEPTED = "the server does not accept this request"
NO_MEMORY = (
    f"the server is out of memory for {MODEL} (it needs 5.6 GiB, there are 3.2 GiB): "
    f"use a smaller model or a smaller context_window"
)
NOT_PULLED = f"{MODEL} is not pulled: get it with `ollama pull {MODEL}`"
NOT_STARTED = "start it with `ollama serve`"
TOO_LATE = f"no answer within {TIMEOUT_S:g} s"
TOO_LONG = f"the prompt does not fit the window that the server gives {MODEL}"
NOT_DONE = "the answer was cut: it ended before the server said that it is done"
NO_ACCESS = "the server refuses access: check api_key, or sign in there with `ollama signin`"
NO_OLLAMA = "URL knows no /api/chat: is it an Ollama server?"
NO_TOOLS = f"{MODEL} does not support tools"
LOADED = "the server answered nothing (done_reason load)"
LOADING = "the model may still be loading"
SPENT = "the account's usage is spent"
TOO_LARGE = f"the answer is larger than {MAX_ANSWER_BYTES} bytes"
LINE_TOO_LONG = f"a line of the answer is longer than {MAX_LINE_BYTES} bytes"
NO_JSON = "the answer is not valid JSON"
NO_NUMBER = "the answer is not valid JSON: it holds NaN or an infinity"
NO_UTF8 = "the answer is not UTF-8"
NO_OBJECT = "the answer has a part that is not a JSON object"
NO_NAME = "the answer has a tool call without a name"
NOT_ASKED = "the answer is compressed in a way that was not asked for"
CUT_GZIP = "the answer was cut: its compressed body ended early"
FAILED = "the server failed: its log may say why"
QUEUE = "the server's queue is full"
ELSEWHERE = "URL redirects elsewhere, and prompts go nowhere but there: set host to the new address"


@frozen
class DrippingError(Fault):
    """An error whose body never ends."""

    async def play(self, exchange: Exchange) -> None:
        """Send the head of an error, then a byte now and then."""
        await exchange.link.send(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 100000\r\n\r\n")
        while True:
            await exchange.link.send(b" ")
            await asyncio.sleep(0.05)


@frozen
class Endless(Fault):
    """A stream of chunks that say nothing, without end."""

    line: bytes

    async def play(self, exchange: Exchange) -> None:
        """Send the line again and again."""
        await exchange.link.send(exchange.answer().head)
        while True:
            await exchange.link.send(b"%x\r\n%s\r\n" % (len(self.line), self.line))
            await asyncio.sleep(0.01)


@frozen
class Compressed(Fault):
    """A body that is compressed although nobody asked for it."""

    body: bytes
    encoding: str = "gzip"
    status: int = 200

    async def play(self, exchange: Exchange) -> None:
        """Send the body."""
        head = f"HTTP/1.1 {self.status} X\r\ncontent-type: application/json\r\ncontent-encoding: {self.encoding}\r\n"
        await exchange.link.send(f"{head}content-length: {len(self.body)}\r\n\r\n".encode() + self.body)


@frozen(kw_only=True)
class Row:
    """One fault.

    Attributes:
        name: What happens.
        fault: What the server does; None for a server that is not there, and "hangs" for one that accepts nothing.
        error: What the caller gets.
        says: Its message, with URL for the server's.
        phase: Which timeout ran out, when one does.
        modes: The ways of calling that can meet it.
        retry_after_s: What the error says of a delay.
        in_a_stream: Its message in a stream, where that is another.
    """

    name: str
    fault: Fault | str | None
    error: type[ProviderError]
    says: str
    phase: str = ""
    modes: tuple[str, ...] = ALL
    retry_after_s: float | None = None
    in_a_stream: str = ""

    @property
    def kind(self) -> str:
        """The error's class, with the phase of a timeout."""
        return f"{self.error.__name__} ({self.phase})" if self.phase else self.error.__name__

    def message(self, mode: str) -> str:
        """Return the message in one way of calling."""
        return self.in_a_stream if mode in STREAMS and self.in_a_stream else self.says


def _late(
    name: str, fault: Fault | str, says: str = TOO_LATE, phase: str = "total", modes: tuple[str, ...] = ALL
) -> Row:
    return Row(name=name, fault=fault, error=ProviderTimeoutError, says=says, phase=phase, modes=modes)


def _down(name: str, fault: Fault | None, says: str = FAILED, **more: Any) -> Row:
    return Row(name=name, fault=fault, error=ProviderUnavailableError, says=says, **more)


def _bad(name: str, fault: Fault, says: str = BAD_FORM, **more: Any) -> Row:
    return Row(name=name, fault=fault, error=InvalidReplyError, says=says, **more)


def _no(name: str, fault: Fault, error: type[ProviderError], says: str, **more: Any) -> Row:
    return Row(name=name, fault=fault, error=error, says=says, **more)


def _answer(text: str, **fields: Any) -> WrongShape:
    return WrongShape({"model": MODEL, "message": {"role": "assistant", "content": text}, **fields})


def _thinking() -> bytes:
    part = {"model": MODEL, "message": {"role": "assistant", "content": "", "thinking": "Hm. "}, "done": False}
    return json.dumps(part).encode() + b"\n"


def _calls(function: dict[str, Any]) -> WrongShape:
    message = {"role": "assistant", "content": "", "tool_calls": [{"function": function}]}
    return WrongShape({"model": MODEL, "message": message, "done": True})


BOMB = gzip.compress(b" " * 40 * 2**20)
WHOLE = json.dumps({"model": MODEL, "message": {"role": "assistant", "content": "pong"}, "done": True}).encode() + b"\n"
EMPTY = "the answer is empty"
PAGE = b"404 page not found"
HTML = b"<html><h1>502 Bad Gateway</h1></html>"

ROWS = (
    _down("no server is running", None, f"no Ollama server answers at URL (Connection refused): {NOT_STARTED}"),
    _late("connecting hangs", "hangs", f"no connection to URL within {BOUND_S:g} s: {NOT_STARTED}", "connect"),
    _late("silence", Silence()),
    _late("the answer comes too late", Delay(5.0)),
    _late("the head comes byte by byte", SlowHeaders(0.05)),
    _late("the body comes byte by byte", Drip(0.05)),
    _late("an error's body never ends", DrippingError()),
    _down("reset before the answer", Reset(), HUNG_UP),
    _bad("reset in the middle of it", Reset(10_000), CUT_OFF),
    _down("hung up before the answer", CloseEarly(), HUNG_UP),
    _bad("hung up in the middle of it", CloseEarly(10_000), CUT_OFF),
    _bad("a body shorter than announced", ShortBody(), CUT_OFF),
    _down("another protocol", NotHttp(), HUNG_UP),
    _down("a redirect to another server", Redirect("http://127.0.0.1:9/api/chat"), ELSEWHERE),
    _down("redirects without end", RedirectLoop(), ELSEWHERE),
    _bad("malformed JSON", Malformed(), NO_JSON),
    _bad("JSON nested without end", Malformed(b"[" * 100_000), NO_JSON),
    _bad("a number of 5000 digits", Malformed(b'{"eval_count": 1' + b"0" * 5000 + b"}"), NO_JSON),
    _bad("text that is no UTF-8", Malformed(b'{"model": "\xff\xfe"}'), NO_UTF8),
    _bad("an empty body", EmptyBody(), NO_JSON, in_a_stream=NOT_DONE),
    _bad("a login page with status 200", WrongContentType(), NO_JSON),
    _bad("a body of 40 MiB", HugeBody(40 * 2**20), TOO_LARGE, in_a_stream=LINE_TOO_LONG),
    _bad("a gzip bomb", Compressed(BOMB), TOO_LARGE, in_a_stream=LINE_TOO_LONG),
    _bad("a gzip body that is cut", Compressed(gzip.compress(WHOLE)[:-9]), CUT_GZIP),
    _bad("a body compressed with brotli", Compressed(b"x", "br"), NOT_ASKED),
    _down("an error whose body is a bomb", Compressed(BOMB, status=500)),
    _down("an error whose body is a flood", Status(500, body=b"x" * 2**22)),
    _down("an error compressed with brotli", Compressed(b"x", "br", 500)),
    _bad("NaN for a count", Malformed(b'{"eval_count": NaN}'), NO_NUMBER),
    _bad("two answers in one", Malformed(WHOLE + WHOLE.strip()), NO_JSON, modes=("invoke", "ainvoke")),
    _bad("a tool call without a name", _calls({"arguments": {}}), NO_NAME),
    _bad("tool arguments that are cut off", _calls({"name": "f", "arguments": '{"day'}), NO_JSON),
    _bad("tool arguments that are a list", _calls({"name": "f", "arguments": [1]})),
    _bad("an object without a message", WrongShape({})),
    _bad("a list", WrongShape([1]), NO_OBJECT),
    _bad("a message that is a number", WrongShape({"message": 7})),
    _bad("an answer that is not done", _answer("pong", done=False), NOT_DONE),
    _bad("an answer without text", _answer("", done=True, done_reason="stop"), EMPTY),
    _bad("a model that was only loaded", _answer("", done=True, done_reason="load"), LOADED),
    _down("status 200 that tells an error", WrongShape({"error": SAYINGS["crashed"]})),
    _down("status 200 that tells of memory", WrongShape({"error": SAYINGS["out_of_memory"]}), NO_MEMORY),
    _no("400", Status(400, "invalid_request"), UnsupportedRequestError, NOT_ACCEPTED),
    _no("400, a prompt too long", Status(400, "context_length"), ContextLengthExceededError, TOO_LONG),
    _no("400, a model without tools", Status(400, "no_tools"), UnsupportedRequestError, NO_TOOLS),
    _no("401", Status(401, "auth"), AuthenticationError, NO_ACCESS),
    _no("402", Status(402, "quota"), QuotaExhaustedError, SPENT),
    _no("403", Status(403, "auth"), AuthenticationError, NO_ACCESS),
    _no("404, a model that is not pulled", Status(404, "model_not_found"), ModelNotFoundError, NOT_PULLED),
    _no("404 of some other server", Status(404, body=PAGE), ModelNotFoundError, NO_OLLAMA),
    _no("413", Status(413, body=b""), UnsupportedRequestError, NOT_ACCEPTED),
    _no("429", Status(429, "rate_limit"), RateLimitedError, "the server limits requests"),
    _no(
        "429, and when to come back",
        Status(429, "rate_limit", {"retry-after": "7"}),
        RateLimitedError,
        "the server limits requests",
        retry_after_s=7.0,
    ),
    _no("429, usage spent", Status(429, "quota"), QuotaExhaustedError, SPENT),
    _down("500, out of memory", Status(500, "out_of_memory"), NO_MEMORY),
    _down("500, the model's process died", Status(500, "crashed")),
    _down("500, told as a list", Status(500, body=b'["x"]')),
    _down("500, told as a text", Status(500, body=b'"x"')),
    _down("502, a proxy's page", Status(502, body=HTML)),
    _down("503, the queue is full", Status(503, "busy", {"retry-after": "3"}), QUEUE, retry_after_s=3.0),
    _late(
        "no first token", SlowFirstToken(5.0), f"no first token within {BOUND_S:g} s: {LOADING}", "first_token", STREAMS
    ),
    _late("a stall", Stall(1), f"the stream fell silent for {BOUND_S:g} s", "idle", STREAMS),
    _late("thinking without end", Endless(_thinking()), modes=STREAMS),
    _bad("a cut without done", Cut(1, "clean"), NOT_DONE, modes=STREAMS),
    _bad("a cut by hanging up", Cut(1, "fin"), CUT_OFF, modes=STREAMS),
    _bad("a cut by a reset", Cut(1, "rst"), CUT_OFF, modes=STREAMS),
    _bad("a malformed line", MalformedPiece(1), NO_JSON, modes=STREAMS),
    _bad("a line without end", Endless(b"x" * 2**20), LINE_TOO_LONG, modes=STREAMS),
    _down("an error in the middle", ErrorPiece(1, "unavailable"), modes=STREAMS),
    _down("out of memory in the middle", ErrorPiece(1, "out_of_memory"), NO_MEMORY, modes=STREAMS),
    _no("usage spent, told in the stream", ErrorPiece(0, "quota", 402), QuotaExhaustedError, SPENT, modes=STREAMS),
)


INTRODUCTION = """\
# What becomes of each fault

Each row is a fault that the tests cause on a real socket, with the real `ollama` client, in each way of calling. The
server is the fault server of `kickai_providers_core.testing`, speaking our reading of Ollama's protocol.

In every cell the call makes at most one request, ends in time, and leaves the provider object fit for the next call,
which is answered. Time runs out at the bound that is set plus at most 0.25 s, and then the socket is closed.

Written by `python tests/fault_matrix.py`: {faults} faults, {cells} cells.

| fault | invoke, ainvoke | stream, astream | message |
|---|---|---|---|
"""


def rendered() -> str:
    """Return the document."""
    told = INTRODUCTION.format(faults=len(ROWS), cells=sum(len(row.modes) for row in ROWS))
    return told + "".join(map(_line, ROWS))


def _line(row: Row) -> str:
    unary = f"`{row.kind}`" if row.modes == ALL else "–"
    says = row.says if row.retry_after_s is None else f"{row.says}; `retry_after_s` {row.retry_after_s:g}"
    says += f"; in a stream: {row.in_a_stream}" if row.in_a_stream else ""
    return f"| {row.name} | {unary} | `{row.kind}` | {says} |\n"


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(), encoding="utf-8")
