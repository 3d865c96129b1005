"""What can go wrong between this plugin and a server, and the error that each fault becomes.

``python tests/test_fault_matrix.py`` writes docs/fault-matrix.md.
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
from kickai_providers_core.authoring.size_limits import MAX_ANSWER_BYTES
from kickai_providers_core.testing import FaultMatrix, FaultRow
from kickai_providers_core.testing.fault_matrix import STREAMS, WHOLE_ANSWERS
from kickai_providers_core.testing.faults import (
    CloseEarly,
    Cut,
    Delay,
    Drip,
    DripError,
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
    Unreachable,
    WrongContentType,
    WrongShape,
)
from ollama_wire import MODEL, SAYINGS, OllamaWire

from kickai_ollama.plugin import plugin
from kickai_ollama.settings import OllamaSettings

if TYPE_CHECKING:
    from kickai_providers_core import ProviderError
    from kickai_providers_core.testing.faults.exchange import Exchange

BAD_FORM = "the answer cannot be read: it does not follow Ollama's protocol"
CUT_OFF = "the answer was cut: the connection ended in the middle of it"
CUT_GZIP = "the answer was cut: its compressed body ended early"
EMPTY = "the answer is empty (finish reason stop)"
ELSEWHERE = "the service redirects to another address, and redirects are not followed: set host to the new address"
FAILED = "the server failed: see its log"
HUNG_UP = "the service hung up, or does not speak HTTP at URL"
LATE = "no answer in time at URL"
LINE_TOO_LONG = f"a line of the answer is longer than {MAX_LINE_BYTES} bytes"
NO_ACCESS = "the server refuses access: check api_key, or sign in there with `ollama signin`"
NO_JSON = "the answer is not valid JSON"
NO_MEMORY = (
    f"the server is out of memory for {MODEL} (it needs 5.6 GiB, available are 3.2 GiB): "
    f"use a smaller model or a smaller context_window"
)
NOT_ACCEPTED = "the service does not accept this request"
NOT_DONE = "the answer was cut: it ended without a finish reason"
NOT_STARTED = "start the server with `ollama serve`"
RATE = "the service accepts no more requests for the moment"
TOO_LARGE = f"the answer is larger than {MAX_ANSWER_BYTES} bytes"
TOO_LONG = f"the prompt does not fit the context window of {MODEL} on this server"
USED_UP = "the credit or the quota is used up"


@frozen
class Endless(Fault):
    """A stream of the same bytes without end."""

    line: bytes

    async def play(self, exchange: Exchange) -> None:
        """Send the line again and again."""
        await exchange.link.send(exchange.answer().head)
        while True:
            await exchange.link.send(b"%x\r\n%s\r\n" % (len(self.line), self.line))
            await asyncio.sleep(0.01)


@frozen
class Compressed(Fault):
    """A compressed body."""

    body: bytes
    encoding: str = "gzip"
    code: int = 200

    async def play(self, exchange: Exchange) -> None:
        """Send the body."""
        head = f"HTTP/1.1 {self.code} X\r\ncontent-type: application/json\r\ncontent-encoding: {self.encoding}\r\n"
        await exchange.link.send(f"{head}content-length: {len(self.body)}\r\n\r\n".encode() + self.body)


def _row(name: str, fault: Fault | Unreachable, error: type[ProviderError], message: str, **more: Any) -> FaultRow:
    if error is InvalidReplyError:
        more = {"status_code": None, **more}
    return FaultRow(name=name, fault=fault, error=error, message=message, **more)


def _late(name: str, fault: Fault | Unreachable, message: str = LATE, expires: str = "total", **more: Any) -> FaultRow:
    return _row(name, fault, ProviderTimeoutError, message, expires=expires, status_code=None, **more)


def _down(name: str, fault: Fault | Unreachable, message: str = FAILED, **more: Any) -> FaultRow:
    return _row(name, fault, ProviderUnavailableError, message, **more)


def _bad(name: str, fault: Fault, message: str = BAD_FORM, **more: Any) -> FaultRow:
    return _row(name, fault, InvalidReplyError, message, **more)


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
HTML = b"<html><h1>502 Bad Gateway</h1></html>"

CONNECTIONS = (
    _down(
        "no server is running",
        Unreachable.REFUSED,
        f"the service cannot be reached at URL (Connection refused): {NOT_STARTED}",
        reached=False,
    ),
    _late("connecting hangs", Unreachable.HANGS, f"no connection in time at URL: {NOT_STARTED}", "connect"),
    _late("silence", Silence()),
    _late("the answer comes too late", Delay(5.0)),
    _late("the head comes byte by byte", SlowHeaders(0.05)),
    _late("the body comes byte by byte", Drip(0.05)),
    _late("an error's body never ends", DripError()),
    _down("reset before the answer", Reset(), HUNG_UP),
    _bad("reset in the middle of it", Reset(10_000), CUT_OFF),
    _down("closed before the answer", CloseEarly(), HUNG_UP),
    _bad("closed in the middle of it", CloseEarly(10_000), CUT_OFF),
    _bad("a body shorter than announced", ShortBody(), CUT_OFF),
    _down("another protocol", NotHttp(), HUNG_UP),
    _down("a redirect to another server", Redirect("http://127.0.0.1:9/api/chat"), ELSEWHERE, status_code=307),
    _down("redirects without end", RedirectLoop(), ELSEWHERE, status_code=307),
)

ANSWERS = (
    _bad("malformed JSON", Malformed(), NO_JSON),
    _bad("JSON nested without end", Malformed(b"[" * 100_000), NO_JSON),
    _bad("a number of 5000 digits", Malformed(b'{"eval_count": 1' + b"0" * 5000 + b"}"), NO_JSON),
    _bad("text that is not UTF-8", Malformed(b'{"model": "\xff\xfe"}'), "the answer is not UTF-8"),
    _bad("an empty body", EmptyBody(), NO_JSON, stream_message=NOT_DONE),
    _bad("a login page with status 200", WrongContentType(), NO_JSON),
    _bad("a body of 40 MiB", HugeBody(40 * 2**20), TOO_LARGE, stream_message=LINE_TOO_LONG),
    _bad("a gzip bomb", Compressed(BOMB), TOO_LARGE, stream_message=LINE_TOO_LONG),
    _bad("a gzip body that is cut", Compressed(gzip.compress(WHOLE)[:-9]), CUT_GZIP),
    _bad(
        "a body compressed with brotli",
        Compressed(b"x", "br"),
        "the answer is compressed in a way that was not asked for",
    ),
    _bad("NaN for a count", Malformed(b'{"eval_count": NaN}'), f"{NO_JSON}: it holds NaN or an infinity"),
    _bad("two answers in one", Malformed(WHOLE + WHOLE.strip()), NO_JSON, modes=WHOLE_ANSWERS),
    _bad("a tool call without a name", _calls({"arguments": {}}), "the answer has a tool call without a name"),
    _bad("tool arguments that are cut off", _calls({"name": "f", "arguments": '{"day'}), NO_JSON),
    _bad("tool arguments that are a list", _calls({"name": "f", "arguments": [1]})),
    _bad("an object without a message", WrongShape({})),
    _bad("a list", WrongShape([1]), "the answer has a part that is not a JSON object"),
    _bad("a message that is a number", WrongShape({"message": 7})),
    _bad("an answer that is not done", _answer("pong", done=False), NOT_DONE),
    _bad("an answer without text", _answer("", done=True, done_reason="stop"), EMPTY),
    _bad(
        "a model that was only loaded",
        _answer("", done=True, done_reason="load"),
        "the server answered nothing (done_reason load)",
    ),
    _bad(
        "an answer that ends with an error",
        _answer("po", done=True, done_reason="error"),
        "the model stopped with an error",
    ),
)

ERRORS = (
    _down("an error whose body is a bomb", Compressed(BOMB, code=500)),
    _down("an error whose body is a flood", Status(500, body=b"x" * 2**22)),
    _down("an error compressed with brotli", Compressed(b"x", "br", 500)),
    _down("status 200 with an error", WrongShape({"error": SAYINGS["crashed"]})),
    _down("status 200, out of memory", WrongShape({"error": SAYINGS["out_of_memory"]}), NO_MEMORY),
    _row("400", Status(400, "invalid_request"), UnsupportedRequestError, NOT_ACCEPTED),
    _row(
        "400, a prompt too long",
        Status(400, "context_length"),
        ContextLengthExceededError,
        TOO_LONG,
        fields={"limit_tokens": 256},
    ),
    _row(
        "400, a model without tools",
        Status(400, "no_tools"),
        UnsupportedRequestError,
        f"{MODEL} does not support tools",
    ),
    _row("401", Status(401, "auth"), AuthenticationError, NO_ACCESS),
    _row("402", Status(402, "quota"), QuotaExhaustedError, USED_UP),
    _row("403", Status(403, "auth"), AuthenticationError, NO_ACCESS),
    _row(
        "404, a model that is not pulled",
        Status(404, "model_not_found"),
        ModelNotFoundError,
        f"{MODEL} is not pulled: get it with `ollama pull {MODEL}`",
    ),
    _row(
        "404 of another kind of server",
        Status(404, body=b"404 page not found"),
        ModelNotFoundError,
        "there is no /api/chat at URL: is it an Ollama server?",
    ),
    _row("413", Status(413, body=b""), UnsupportedRequestError, NOT_ACCEPTED),
    _row("429", Status(429, "rate_limit"), RateLimitedError, RATE),
    _row(
        "429 with a delay", Status(429, "rate_limit", {"retry-after": "7"}), RateLimitedError, RATE, retry_after_s=7.0
    ),
    _row("429, usage limit reached", Status(429, "quota"), QuotaExhaustedError, USED_UP),
    _down("500, out of memory", Status(500, "out_of_memory"), NO_MEMORY),
    _down("500, the model's process died", Status(500, "crashed")),
    _down("500 with a list", Status(500, body=b'["x"]')),
    _down("500 with a text", Status(500, body=b'"x"')),
    _down("502, a proxy's page", Status(502, body=HTML)),
    _down(
        "503, the queue is full",
        Status(503, "busy", {"retry-after": "3"}),
        "the server's queue is full",
        retry_after_s=3.0,
    ),
)

IN_STREAMS = (
    _late(
        "no first token",
        SlowFirstToken(5.0),
        "no first token in time at URL: the model may still be loading",
        "first_token",
        modes=STREAMS,
    ),
    _late("a stall", Stall(1), "the stream stalled at URL", "idle", modes=STREAMS),
    _late("thinking without end", Endless(_thinking()), modes=STREAMS),
    _bad("a cut without done", Cut(1, "clean"), NOT_DONE, modes=STREAMS),
    _bad("a cut by closing", Cut(1, "fin"), CUT_OFF, modes=STREAMS),
    _bad("a cut by a reset", Cut(1, "rst"), CUT_OFF, modes=STREAMS),
    _bad("a malformed line", MalformedPiece(1), NO_JSON, modes=STREAMS),
    _bad("a line without end", Endless(b"x" * 2**20), LINE_TOO_LONG, modes=STREAMS),
    _down("an error in the middle", ErrorPiece(1, "unavailable"), modes=STREAMS, status_code=None),
    _down("out of memory in the middle", ErrorPiece(1, "out_of_memory"), NO_MEMORY, modes=STREAMS, status_code=None),
    _row(
        "usage limit reached in the middle",
        ErrorPiece(0, "quota", 402),
        QuotaExhaustedError,
        USED_UP,
        modes=STREAMS,
        status_code=None,
    ),
)


class TestFaults(FaultMatrix):
    """Each row with the real `ollama` client on a real socket, in each mode in which it can happen."""

    plugin = plugin
    wire = OllamaWire()
    model = MODEL
    rows = {"Connections": CONNECTIONS, "Answers": ANSWERS, "Errors": ERRORS, "Streams": IN_STREAMS}  # noqa: RUF012
    document = Path(__file__).parents[1] / "docs" / "fault-matrix.md"

    def settings(self, url, key):
        """Return settings for the server of a test."""
        return OllamaSettings(host=url, api_key=key, model=MODEL)


if __name__ == "__main__":
    TestFaults.write_document()
