"""What can go wrong between the plugin and a service, and what becomes of it: the rows of docs/fault-matrix.md.

``python tests/fault_matrix.py`` writes the document. The tests cause every fault on a real socket, with the real
client, in each way of calling, and hold the document against these rows.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

from attrs import field, frozen
from hf_wire import SAYINGS
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
    Response,
    ShortBody,
    Silence,
    SlowFirstToken,
    SlowHeaders,
    Stall,
    Status,
    WrongContentType,
    WrongShape,
)
from kickai_providers_core.testing.faults.exchange import Exchange, chunk, head_of
from kickai_providers_core.values import errors as e

DOCUMENT = Path(__file__).parents[1] / "docs" / "fault-matrix.md"

BOUND_S = 0.4
"""The timeout that runs out, in the rows in which one does."""

PLENTY_S = 10.0
"""Every other timeout: none of them is what ends a call."""

ALL = ("invoke", "ainvoke", "stream", "astream")
WHOLE = ("invoke", "ainvoke")
STREAMS = ("stream", "astream")


@frozen
class Bytes(Fault):
    """Bytes as they are, then the end of the connection."""

    data: bytes

    async def play(self, exchange: Exchange) -> None:
        """Send them and close."""
        await exchange.link.send(self.data)
        exchange.link.close()


@frozen
class Endless(Fault):
    """The same bytes again and again, without end.

    Attributes:
        head: What comes before them; empty for the head of a good answer.
        part: The bytes.
        interval_s: Between two of them.
    """

    part: bytes
    head: bytes = b""
    interval_s: float = 0.02

    async def play(self, exchange: Exchange) -> None:
        """Send until the client goes away."""
        await exchange.link.send(self.head or exchange.answer().head)
        while True:
            await exchange.link.send(self.part)
            await asyncio.sleep(self.interval_s)


@frozen
class Flood(Fault):
    """The same bytes again and again, as fast as the client takes them.

    Attributes:
        part: The bytes.
        head: What comes before them; empty for the head of a good answer.
    """

    part: bytes
    head: bytes = b""

    async def play(self, exchange: Exchange) -> None:
        """Send until the client goes away."""
        await exchange.link.send(self.head or exchange.answer().head)
        while not exchange.link.closing:
            await exchange.link.send(self.part)
            await asyncio.sleep(0)


@frozen
class Body(Fault):
    """A success with a body of our own, and the headers that go with it."""

    body: bytes
    headers: Mapping[str, str]

    async def play(self, exchange: Exchange) -> None:
        """Send it."""
        await exchange.respond(Response(headers=self.headers, body=self.body))


@frozen
class Events(Fault):
    """A stream of events of our own, which ends in good order."""

    events: tuple[bytes, ...]

    async def play(self, exchange: Exchange) -> None:
        """Send the events."""
        head = head_of(Response(headers={"content-type": "text/event-stream"}), {"transfer-encoding": "chunked"})
        await exchange.link.send(head + b"".join(map(chunk, self.events)) + b"0\r\n\r\n")


@frozen
class Late(Fault):
    """A refusal whose date is computed when it is sent."""

    async def play(self, exchange: Exchange) -> None:
        """Refuse for a minute."""
        await Status(429, "rate_limit", {"retry-after": formatdate(time.time() + 60, usegmt=True)}).play(exchange)


NOBODY = "nobody listens"
HANGS = "connecting hangs"
FULL = "the pool is full"


@frozen(kw_only=True)
class Row:
    """One fault.

    Attributes:
        name: What happens.
        fault: What the server does; or `NOBODY`, `HANGS` or `FULL`.
        error: What the caller gets.
        bound: The setting that bounds it, when one runs out.
        phase: Which phase the error then names.
        modes: The ways of calling that can meet it.
        retry_after_s: What the error says of a delay.
        status: The status that stands in the error.
        fields: Others of its fields.
        within_s: How long a call may take in which no timeout runs out; an error's body has 1 s of it.
    """

    name: str
    fault: Fault | str
    error: type[e.ProviderError]
    bound: str = ""
    phase: str = ""
    modes: tuple[str, ...] = ALL
    retry_after_s: float | None = None
    status: int | None = None
    fields: Mapping[str, Any] = field(factory=dict)
    within_s: float = 1.5


def _late(name: str, fault: Fault | str, bound: str = "timeout_s", phase: str = "total", **more: Any) -> Row:
    return Row(name=name, fault=fault, error=e.ProviderTimeoutError, bound=bound, phase=phase, **more)


def _down(name: str, fault: Fault | str, **more: Any) -> Row:
    return Row(name=name, fault=fault, error=e.ProviderUnavailableError, **more)


def _bad(name: str, fault: Fault, **more: Any) -> Row:
    return Row(name=name, fault=fault, error=e.InvalidReplyError, **more)


def _said(code: int, error: type[e.ProviderError], name: str, kind: str = "", **more: Any) -> Row:
    headers = more.pop("headers", {})
    body = more.pop("body", None)
    fault = more.pop("fault", None) or Status(code, kind, headers, body)
    return Row(name=f"{code}: {name}", fault=fault, error=error, status=code, **more)


def _answer(**choice: Any) -> WrongShape:
    return WrongShape({"model": "m", "choices": [{"index": 0, **choice}]})


def _event(**choice: Any) -> bytes:
    return b"data: " + json.dumps({"model": "m", "choices": [{"index": 0, **choice}]}).encode() + b"\n\n"


def _whole(name: str, fault: Fault, error: type[e.ProviderError] = e.InvalidReplyError, **more: Any) -> Row:
    return Row(name=name, fault=fault, error=error, modes=WHOLE, **more)


def _streamed(name: str, fault: Fault, error: type[e.ProviderError] = e.InvalidReplyError, **more: Any) -> Row:
    return Row(name=name, fault=fault, error=error, modes=STREAMS, **more)


PONG = {"role": "assistant", "content": "pong"}
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
ERROR_HEAD = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n"
CHUNKED_422 = (
    b"HTTP/1.1 422 No\r\ncontent-type: application/json\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    + chunk(b'{"error": "`inputs` tokens + ')
    + chunk(b'`max_new_tokens` must be <= 64"}')
    + b"0\r\n\r\n"
)
HEAD = b"HTTP/1.1 200 OK\r\n"
BIG = b"x" * 65_536
ERROR_FLOOD = b"HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
BOMB = gzip.compress(b'{"model": "' + b"0" * 100_000_000)
EVENT_BOMB = gzip.compress((b": " + b"0" * 200_000 + b"\n") * 1_500)
GZIP = {"content-encoding": "gzip"}
JSON_HEADERS = {"content-type": "application/json"}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HTML = b"<html><h1>502 Bad Gateway</h1></html>"
DETAIL = b'{"detail": [{"loc": ["body"], "msg": "temperature must be a number", "input": "maximum context length"}]}'
DAILY = (
    b'{"error": {"message": "Limit on tokens per day (TPD) reached. Please try again in 7m12.5s.", "type": "tokens"}}'
)
NO_ACCESS = b'{"error": {"message": "Project `p` does not have access to model `org/m`", "code": "permission_denied"}}'
JINJA = b'{"error": {"code": 500, "message": "tools param requires --jinja flag", "type": "server_error"}}'
ARGUMENTS = b'{"error": {"code": 500, "message": "Failed to parse tool call arguments as JSON: ..."}}'
GATED = {"x-error-code": "GatedRepo"}
LIMIT = {"ratelimit": '"api";r=0;t=55', "retry-after": "3"}
OPENAI_LIMIT = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m6.5s"}

TIME = (
    _late("silence", Silence()),
    _late("the answer comes too late", Delay(5.0)),
    _late("the head comes byte by byte", SlowHeaders(0.05)),
    _late("the body comes byte by byte", Drip(0.05)),
    _late("interim answers (100 Continue) without end", Endless(CONTINUE, CONTINUE)),
    _late("a body without end, slowly", Endless(b"1\r\n \r\n", CHUNKED)),
    _late("interim answers without end, as fast as possible", Flood(CONTINUE * 100, CONTINUE)),
    _late("a body of single bytes without end, as fast as possible", Flood(chunk(b"\n") * 1000, CHUNKED)),
    _late("comments without end, as fast as possible", Flood(chunk(b": ping\n\n" * 1000)), modes=STREAMS),
    _late("pieces without end, as fast as possible", Flood(chunk(_event(delta={"content": "x"})) * 100), modes=STREAMS),
    _late("connecting hangs", HANGS, "connect_timeout_s", "connect"),
    _late("every connection is taken (`max_concurrency`)", FULL),
    _late("no first token", SlowFirstToken(5.0), "first_token_timeout_s", "first_token", modes=STREAMS),
    _late(
        "events without text", Endless(chunk(_event(delta={}))), "first_token_timeout_s", "first_token", modes=STREAMS
    ),
    _late("comments without end", Endless(chunk(b": ping\n\n")), "first_token_timeout_s", "first_token", modes=STREAMS),
    _late("a stall half-way", Stall(1), "idle_timeout_s", "idle", modes=STREAMS),
    _late("a stall half-way, near the end", Stall(1), modes=STREAMS),
)
CONNECTION = (
    _down("nobody listens", NOBODY, fields={"reached": False}),
    _down("another protocol than HTTP", NotHttp()),
    _down("reset before the answer", Reset()),
    _down("closed before the answer", CloseEarly()),
    _down("closed within the head", CloseEarly(30)),
    _down("headers without end", Flood(b"x-a: " + BIG[:8000] + b"\r\n", HEAD)),
    _down("one header without end", Flood(BIG, HEAD + b"x-a: ")),
    _down("a status line without end", Flood(BIG, b"HTTP/1.1 200 ")),
    _bad("a chunk's extension without end", Flood(BIG, CHUNKED + b"5;")),
    _bad("trailers without end", Flood(b"t: " + BIG[:1000] + b"\r\n", CHUNKED + b"0\r\n")),
    _down("reset within the body", Reset(100_000), fields={"reached": True}),
    _bad("closed within the body", CloseEarly(100_000)),
    _bad("a body shorter than announced", ShortBody()),
    _down("a redirect to another server", Redirect("http://127.0.0.1:9/"), status=307),
    _down("redirects without end", RedirectLoop(302), status=302),
    _streamed("a stream closed half-way", Cut(1, "fin")),
    _streamed("a stream reset half-way", Cut(1, "rst"), e.ProviderUnavailableError),
)
STATUSES = (
    _said(400, e.UnsupportedRequestError, "a parameter that this service does not take", "invalid_request"),
    _said(400, e.ContextLengthExceededError, "too long", "context_length", fields={"limit_tokens": 4096}),
    _said(400, e.ContentFilteredError, "content filter", "content_filter", fields={"reason": "content_filter"}),
    _said(400, e.ModelNotFoundError, "no provider has the model", "model_not_found"),
    _said(401, e.AuthenticationError, "token refused", "auth"),
    _said(402, e.QuotaExhaustedError, "credits spent", "quota"),
    _said(403, e.AuthenticationError, "token may not", "auth"),
    _said(403, e.ModelNotFoundError, "gated model", headers=GATED, body=b""),
    _said(403, e.ModelNotFoundError, "no access to this model", body=NO_ACCESS),
    _said(404, e.ModelNotFoundError, "not served", "model_not_found"),
    _said(405, e.ModelNotFoundError, "nothing to be asked there", body=HTML),
    _said(408, e.ProviderTimeoutError, "request timeout", body=b"", phase="total"),
    _said(409, e.ProviderUnavailableError, "conflict", body=b"{}"),
    _said(410, e.ModelNotFoundError, "retired", body=b'{"error": "gone"}'),
    _said(413, e.UnsupportedRequestError, "too large, without a reason", body=b"null"),
    _said(413, e.ContextLengthExceededError, "too large, by tokens", "context_length", fields={"limit_tokens": 4096}),
    _said(418, e.UnsupportedRequestError, "unheard of", body=b""),
    _said(422, e.ContextLengthExceededError, "TGI, too long", "validation", fields={"limit_tokens": 2048}),
    _said(422, e.UnsupportedRequestError, "a field is wrong; the prompt is echoed", body=DETAIL),
    _said(424, e.ProviderUnavailableError, "TGI, generation failed", "generation"),
    _said(
        429,
        e.RateLimitedError,
        "`Retry-After` in seconds",
        "rate_limit",
        headers={"retry-after": "7"},
        retry_after_s=7.0,
    ),
    Row(name="429: `Retry-After` as a date", fault=Late(), error=e.RateLimitedError, status=429, retry_after_s=60.0),
    _said(429, e.RateLimitedError, "`RateLimit`, longer than `Retry-After`", headers=LIMIT, retry_after_s=55.0),
    _said(429, e.RateLimitedError, "OpenAI's rate-limit headers", headers=OPENAI_LIMIT, retry_after_s=66.5),
    _said(429, e.RateLimitedError, "TGI, overloaded", "overloaded"),
    _said(429, e.QuotaExhaustedError, "the quota of the day", body=DAILY, retry_after_s=432.5),
    _said(451, e.ContentFilteredError, "for legal reasons", body=b"", fields={"reason": "content_filter"}),
    _said(500, e.ProviderUnavailableError, "told as a list", body=b'["x"]'),
    _said(500, e.ProviderUnavailableError, "told as a text", body=b'"x"'),
    _said(500, e.ProviderUnavailableError, "half a body", body=b'{"error": '),
    _said(500, e.ProviderUnavailableError, "a body without end", body=None, fault=Flood(chunk(BIG), ERROR_FLOOD)),
    _said(500, e.UnsupportedRequestError, "llama.cpp, started without tools", body=JINJA),
    _said(500, e.UnsupportedRequestError, "llama.cpp, arguments of a tool call in the history", body=ARGUMENTS),
    _said(502, e.ProviderUnavailableError, "a proxy's page", body=HTML),
    _said(503, e.ProviderUnavailableError, "the model is loading", "loading", retry_after_s=20.5),
    _said(504, e.ProviderUnavailableError, "gateway timeout", body=HTML),
    Row(
        name="422 with a chunked body",
        fault=Bytes(CHUNKED_422),
        error=e.ContextLengthExceededError,
        status=422,
        fields={"limit_tokens": 64},
    ),
    _down("503 whose body comes byte by byte", Endless(b" ", ERROR_HEAD), status=503),
)
CONTENT = (
    _bad("half a JSON text", Malformed()),
    _bad("JSON nested without end", Malformed(b"[" * 100_000)),
    _bad("bytes that are no UTF-8", Malformed(b'{"model": "\xff\xfe"}')),
    _bad("an empty body", EmptyBody()),
    _bad("a login page with status 200", WrongContentType()),
    _bad("a body of 16 MiB", HugeBody(16 * 2**20)),
    _bad(
        "a compressed body that is none",
        Body(b"pong", {"content-type": "application/json", "content-encoding": "gzip"}),
    ),
    _bad("a compressed body of 100 MB", Body(BOMB, {**JSON_HEADERS, **GZIP})),
    _streamed(
        "a compressed stream of 300 MB", Body(EVENT_BOMB, {"content-type": "text/event-stream", **GZIP}), within_s=30.0
    ),
    _bad("compressed four times", Body(b"x", {**JSON_HEADERS, "content-encoding": "gzip, gzip, gzip, gzip"})),
    _bad("an encoding that was not requested", Body(b"x", {**JSON_HEADERS, "content-encoding": "zstd"})),
    _bad("a compressed body that was cut", Body(gzip.compress(b'{"a": 1}')[:-9], {**JSON_HEADERS, **GZIP})),
    _bad("a number of a million digits", Malformed(b'{"x": ' + b"9" * 1_000_000 + b"}")),
    _bad("NaN", Malformed(b'{"x": NaN}')),
    _bad("a line without end", Flood(chunk(BIG))),
    _bad("JSON null", WrongShape(None)),
    _bad("a list", WrongShape([1])),
    _bad("an object without choices", WrongShape({"id": "x"})),
    _bad("no choice", WrongShape({"choices": []})),
    _bad("choices that are a number", WrongShape({"choices": 7})),
    _bad("an empty answer", _answer(message={"content": ""}, delta={"content": ""}, finish_reason="stop")),
    _bad("no finish reason", _answer(message=PONG, delta=PONG)),
    _bad("a finish reason that nobody knows", _answer(message=PONG, delta=PONG, finish_reason="weather")),
    Row(
        name="finish reason `content_filter`",
        fault=_answer(message=PONG, delta=PONG, finish_reason="content_filter"),
        error=e.ContentFilteredError,
        fields={"reason": "content_filter"},
    ),
    Row(
        name="a refusal in place of an answer",
        fault=_answer(message={"refusal": "no"}, delta={"refusal": "no"}, finish_reason="stop"),
        error=e.ContentFilteredError,
        fields={"reason": "stop"},
    ),
    Row(name="200 that tells of spent credits", fault=WrongShape(SAYINGS["quota"]), error=e.QuotaExhaustedError),
    Row(
        name="200 that tells of a long prompt (vLLM)",
        fault=WrongShape(
            {"object": "error", "message": "This model's maximum context length is 64 tokens", "code": 400}
        ),
        error=e.ContextLengthExceededError,
        status=400,
        fields={"limit_tokens": 64},
    ),
    _bad("a text that is a number", _answer(message={"content": 7}, delta={"content": 7}, finish_reason="stop")),
    _bad("a finish reason that is a number", _answer(message=PONG, delta=PONG, finish_reason=7)),
    _bad("another answer than the first", _answer(message=PONG, delta=PONG, finish_reason="stop", index=1)),
    _streamed("a stream that ends without a finish reason", Cut(1, "clean")),
    _streamed("a stream without an event", Cut(0, "clean")),
    _streamed("an event that is half a JSON text", MalformedPiece(1)),
    _streamed("an event that is JSON null", MalformedPiece(1, b"null")),
    _streamed("an event of 2 MiB", Events((b"data: " + b"x" * 2 * 2**20,))),
    _streamed("one JSON answer in place of a stream", Body(b'{"choices": []}', {"content-type": "application/json"})),
    _streamed(
        "one JSON error in place of a stream",
        Body(json.dumps(SAYINGS["quota"]).encode(), {"content-type": "application/json"}),
        e.QuotaExhaustedError,
    ),
    _streamed("an event that is nothing of the protocol", MalformedPiece(1, b'{"type": "ping"}')),
    _streamed(
        "an event after the last that cannot be read",
        Events((_event(delta=PONG, finish_reason="stop"), b"data: {\n\n")),
    ),
    _streamed("an error within the stream", ErrorPiece(1), e.ProviderUnavailableError),
    _streamed("TGI within the stream: overloaded", ErrorPiece(1, "overloaded"), e.RateLimitedError),
    _streamed("TGI within the stream: generation failed", ErrorPiece(1, "generation"), e.ProviderUnavailableError),
    _streamed("TGI within the stream: incomplete generation", ErrorPiece(1, "incomplete"), e.InvalidReplyError),
    _streamed(
        "TGI within the stream: too long",
        ErrorPiece(0, "validation"),
        e.ContextLengthExceededError,
        fields={"limit_tokens": 2048},
    ),
)
GROUPS = {
    "Time runs out": TIME,
    "The connection fails": CONNECTION,
    "The service refuses": STATUSES,
    "The answer is none": CONTENT,
}
ROWS = tuple(row for rows in GROUPS.values() for row in rows)

INTRODUCTION = """\
# What becomes of each fault

Each row is a fault that the tests cause on a real socket in each way of calling that can meet it: {faults} faults,
{cells} cells.

In every cell

* the call makes one request at most, and raises this error and no other;
* where a timeout runs out, the call ends when that is over plus at most 0.25 s, and its connection is closed;
  elsewhere it ends at once (an error whose body does not come is not waited for longer than 1 s);
* the next call on the same provider object is answered.

Written by `python tests/fault_matrix.py`; a test fails when it is not current.
"""


def rendered() -> str:
    """Return the document."""
    parts = [INTRODUCTION.format(faults=len(ROWS), cells=sum(len(row.modes) for row in ROWS))]
    for title, rows in GROUPS.items():
        head = "| fault | invoke | ainvoke | stream | astream | what the error says |\n|---|---|---|---|---|---|\n"
        parts.append(f"\n## {title}\n\n{head}" + "".join(map(_line, rows)))
    return "".join(parts)


def _line(row: Row) -> str:
    cells = " | ".join(f"`{row.error.__name__}`" if mode in row.modes else "–" for mode in ALL)
    said = [f"phase `{row.phase}`"] if row.phase else []
    said += [f"after `{row.bound}`"] if row.bound else []
    said += [f"`retry_after_s` {row.retry_after_s:g}"] if row.retry_after_s is not None else []
    said += [f"`{name}` {value}" for name, value in row.fields.items()]
    return f"| {row.name} | {cells} | {', '.join(said)} |\n"


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(), encoding="utf-8")
