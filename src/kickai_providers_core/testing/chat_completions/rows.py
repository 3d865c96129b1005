"""The faults of a service that speaks the Chat Completions protocol, and the error that a plugin raises for each."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

from kickai_providers_core.testing.chat_completions.faults import (
    CHUNKED,
    CONTINUE,
    Body,
    Endless,
    RawBytes,
    RetryAfterDate,
    StreamBytes,
)
from kickai_providers_core.testing.chat_completions.wire import ChatWire
from kickai_providers_core.testing.fault_matrix import STREAMS, FaultRow
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
    Unreachable,
    WrongContentType,
    WrongShape,
    encode_chunk,
)
from kickai_providers_core.testing.faults.encoding import compress_repeated
from kickai_providers_core.values import errors as e

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core.values.errors import TimeoutPhase

__all__ = ["chat_fault_rows"]


def _late(name: str, fault: Fault | Unreachable, expires: TimeoutPhase = "total", **more: Any) -> FaultRow:
    return FaultRow(name=name, fault=fault, error=e.ProviderTimeoutError, expires=expires, **more)


def _down(name: str, fault: Fault | Unreachable, **more: Any) -> FaultRow:
    return FaultRow(name=name, fault=fault, error=e.ProviderUnavailableError, **more)


def _bad(name: str, fault: Fault, **more: Any) -> FaultRow:
    return FaultRow(name=name, fault=fault, error=e.InvalidReplyError, **more)


def _said(code: int, error: type[e.ProviderError], name: str, kind: str = "", **more: Any) -> FaultRow:
    fault = more.pop("fault", None) or Status(code, kind, more.pop("headers", {}), more.pop("body", None))
    return FaultRow(name=f"{code}: {name}", fault=fault, error=error, status_code=code, **more)


def _answer(**choice: Any) -> WrongShape:
    return WrongShape({"model": "m", "choices": [{"index": 0, **choice}]})


def _event(**choice: Any) -> bytes:
    return b"data: " + json.dumps({"model": "m", "choices": [{"index": 0, **choice}]}).encode() + b"\n\n"


def _streamed(name: str, fault: Fault, error: type[e.ProviderError] = e.InvalidReplyError, **more: Any) -> FaultRow:
    return FaultRow(name=name, fault=fault, error=error, **{"modes": STREAMS, **more})


PONG = {"role": "assistant", "content": "pong"}
ERROR_HEAD = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n"
CHUNKED_422 = (
    b"HTTP/1.1 422 No\r\ncontent-type: application/json\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    + encode_chunk(b'{"error": "`inputs` tokens + ')
    + encode_chunk(b'`max_new_tokens` must be <= 64"}')
    + b"0\r\n\r\n"
)
HEAD = b"HTTP/1.1 200 OK\r\n"
WORD = encode_chunk(_event(delta={"content": "x"}))
NOTHING = encode_chunk(_event(delta={}))
NO_CREDIT = ChatWire.sayings["quota"]
BIG = b"x" * 65_536
ERROR_FLOOD = b"HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
BOMB = compress_repeated(b'{"model": "', b"0" * 1_000_000, 100)
EVENT_BOMB = compress_repeated(b"", b": " + b"0" * 200_000 + b"\n", 1_500)
GZIP = {"content-encoding": "gzip"}
JSON_HEADERS = {"content-type": "application/json"}
HTML = b"<html><h1>502 Bad Gateway</h1></html>"
DETAIL = b'{"detail": [{"loc": ["body"], "msg": "temperature must be a number", "input": "maximum context length"}]}'
DAILY = (
    b'{"error": {"message": "Limit on tokens per day (TPD) reached. Please try again in 7m12.5s.", "type": "tokens"}}'
)
NO_ACCESS = b'{"error": {"message": "Project `p` does not have access to model `org/m`", "code": "permission_denied"}}'
JINJA = b'{"error": {"code": 500, "message": "tools param requires --jinja flag", "type": "server_error"}}'
ARGUMENTS = b'{"error": {"code": 500, "message": "Failed to parse tool call arguments as JSON: ..."}}'
LIMIT = {"ratelimit": '"api";r=0;t=55', "retry-after": "3"}
OPENAI_LIMIT = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m6.5s"}

TIME = (
    _late("silence", Silence()),
    _late("the answer comes too late", Delay(5.0)),
    _late("the headers come byte by byte", SlowHeaders(0.05)),
    _late("the body comes byte by byte", Drip(0.05)),
    _late("endless interim responses (100 Continue)", Endless(CONTINUE, CONTINUE, 0.02)),
    _late("an endless body, sent slowly", Endless(b"1\r\n \r\n", CHUNKED, 0.02)),
    _late("endless interim responses, sent fast", Endless(CONTINUE * 100, CONTINUE)),
    _late("an endless body of single bytes, sent fast", Endless(encode_chunk(b"\n") * 1000, CHUNKED)),
    _late("endless comments, sent fast", Endless(encode_chunk(b": ping\n\n" * 1000)), modes=STREAMS),
    _late(
        "endless events with text, sent fast",
        Endless(encode_chunk(_event(delta={"content": "x"})) * 100),
        modes=STREAMS,
    ),
    _late("connecting hangs", Unreachable.HANGS, "connect"),
    _late("no first token", SlowFirstToken(5.0), "first_token", modes=STREAMS),
    _late(
        "events without text", Endless(encode_chunk(_event(delta={})), interval_s=0.02), "first_token", modes=STREAMS
    ),
    _late("endless comments", Endless(encode_chunk(b": ping\n\n"), interval_s=0.02), "first_token", modes=STREAMS),
    _late("a stall in the middle", Stall(1), "idle", modes=STREAMS),
    _late("a stall in the middle, shortly before the deadline", Stall(1), modes=STREAMS),
)
CONNECTION = (
    _down("the connection is refused", Unreachable.REFUSED, reached=False),
    _down("a protocol other than HTTP", NotHttp()),
    _down("reset before the answer", Reset()),
    _down("closed before the answer", CloseEarly()),
    _down("closed within the headers", CloseEarly(30)),
    _down("endless headers", Endless(b"x-a: " + BIG[:8000] + b"\r\n", HEAD)),
    _down("an endless header", Endless(BIG, HEAD + b"x-a: ")),
    _down("an endless status line", Endless(BIG, b"HTTP/1.1 200 ")),
    _bad("an endless chunk extension", Endless(BIG, CHUNKED + b"5;")),
    _bad("endless trailers", Endless(b"t: " + BIG[:1000] + b"\r\n", CHUNKED + b"0\r\n")),
    _down("reset within the body", Reset(100_000)),
    _bad("closed within the body", CloseEarly(100_000)),
    _bad("a body shorter than its content-length", ShortBody()),
    _down("a redirect to another server", Redirect("http://127.0.0.1:9/")),
    _down("a redirect loop", RedirectLoop(302)),
    _streamed("a stream closed in the middle", Cut(1, "fin")),
    _streamed("a stream reset in the middle", Cut(1, "rst"), e.ProviderUnavailableError),
)
STATUSES = (
    _said(400, e.UnsupportedRequestError, "an unsupported parameter", "invalid_request"),
    _said(400, e.ContextLengthExceededError, "too long", "context_length", fields={"limit_tokens": 4096}),
    _said(400, e.ContentFilteredError, "content filter", "content_filter", fields={"reason": "content_filter"}),
    _said(400, e.ModelNotFoundError, "no provider has the model", "model_not_found"),
    _said(401, e.AuthenticationError, "token refused", "auth"),
    _said(402, e.QuotaExhaustedError, "no credits left", "quota"),
    _said(429, e.QuotaExhaustedError, "`insufficient_quota`", "quota"),
    _said(403, e.AuthenticationError, "token lacks the permission", "auth"),
    _said(403, e.ModelNotFoundError, "no access to this model", body=NO_ACCESS),
    _said(404, e.ModelNotFoundError, "not served", "model_not_found"),
    _said(405, e.ModelNotFoundError, "the address does not accept POST", body=HTML),
    _said(408, e.ProviderTimeoutError, "request timeout", body=b"", phase="total"),
    _said(409, e.ProviderUnavailableError, "conflict", body=b"{}"),
    _said(410, e.ModelNotFoundError, "retired", body=b'{"error": "gone"}'),
    _said(413, e.UnsupportedRequestError, "too large, no reason given", body=b"null"),
    _said(413, e.ContextLengthExceededError, "too large, by tokens", "context_length", fields={"limit_tokens": 4096}),
    _said(418, e.UnsupportedRequestError, "an unusual status", body=b""),
    _said(422, e.UnsupportedRequestError, "a field is wrong; the prompt is echoed", body=DETAIL),
    _said(
        429,
        e.RateLimitedError,
        "`Retry-After` in seconds",
        "rate_limit",
        headers={"retry-after": "7"},
        retry_after_s=7.0,
    ),
    FaultRow(
        name="429: `Retry-After` as a date",
        fault=RetryAfterDate(),
        error=e.RateLimitedError,
        status_code=429,
        retry_after_s=(58.0, 60.0),
    ),
    _said(429, e.RateLimitedError, "`RateLimit`, longer than `Retry-After`", headers=LIMIT, retry_after_s=55.0),
    _said(429, e.RateLimitedError, "OpenAI's rate-limit headers", headers=OPENAI_LIMIT, retry_after_s=66.5),
    _said(429, e.QuotaExhaustedError, "the daily quota is used up", body=DAILY, retry_after_s=432.5),
    _said(451, e.ContentFilteredError, "for legal reasons", body=b"", fields={"reason": "content_filter"}),
    _said(500, e.ProviderUnavailableError, "the error is a list", body=b'["x"]'),
    _said(500, e.ProviderUnavailableError, "the error is a string", body=b'"x"'),
    _said(500, e.ProviderUnavailableError, "half a body", body=b'{"error": '),
    _said(500, e.ProviderUnavailableError, "an endless body", fault=Endless(encode_chunk(BIG), ERROR_FLOOD)),
    _said(500, e.UnsupportedRequestError, "llama.cpp, started without tools", body=JINJA),
    _said(500, e.UnsupportedRequestError, "llama.cpp, invalid tool arguments in the conversation", body=ARGUMENTS),
    _said(502, e.ProviderUnavailableError, "a proxy's HTML page", body=HTML),
    _said(504, e.ProviderUnavailableError, "gateway timeout", body=HTML),
    FaultRow(
        name="422 with a chunked body",
        fault=RawBytes(CHUNKED_422),
        error=e.ContextLengthExceededError,
        status_code=422,
        fields={"limit_tokens": 64},
    ),
    _down("503 whose body comes byte by byte", Endless(b" ", ERROR_HEAD, 0.02), status_code=503),
)
CONTENT = (
    _bad("half a JSON text", Malformed()),
    _bad("deeply nested JSON", Malformed(b"[" * 100_000)),
    _bad("invalid UTF-8", Malformed(b'{"model": "\xff\xfe"}')),
    _bad("an empty body", EmptyBody()),
    _bad("a login page with status 200", WrongContentType()),
    _bad("a body of 16 MiB", HugeBody(16 * 2**20)),
    _bad(
        "a body that is not compressed as declared",
        Body(b"pong", {"content-type": "application/json", "content-encoding": "gzip"}),
    ),
    _bad("a compressed body of 100 MB", Body(BOMB, {**JSON_HEADERS, **GZIP})),
    _streamed(
        "a compressed stream of 300 MB", Body(EVENT_BOMB, {"content-type": "text/event-stream", **GZIP}), within_s=30.0
    ),
    _bad("a body compressed four times", Body(b"x", {**JSON_HEADERS, "content-encoding": "gzip, gzip, gzip, gzip"})),
    _bad("an encoding that was not requested", Body(b"x", {**JSON_HEADERS, "content-encoding": "zstd"})),
    _bad("a truncated compressed body", Body(gzip.compress(b'{"a": 1}')[:-9], {**JSON_HEADERS, **GZIP})),
    _bad("a number of a million digits", Malformed(b'{"x": ' + b"9" * 1_000_000 + b"}")),
    _bad("NaN", Malformed(b'{"x": NaN}')),
    _bad("an endless line", Endless(encode_chunk(BIG))),
    _bad("JSON null", WrongShape(None)),
    _bad("a list", WrongShape([1])),
    _bad("an object without choices", WrongShape({"id": "x"})),
    _bad("an empty list of choices", WrongShape({"choices": []})),
    _bad("choices that are a number", WrongShape({"choices": 7})),
    _bad("an empty answer", _answer(message={"content": ""}, delta={"content": ""}, finish_reason="stop")),
    _bad("no finish reason", _answer(message=PONG, delta=PONG)),
    _bad("an unknown finish reason", _answer(message=PONG, delta=PONG, finish_reason="weather")),
    FaultRow(
        name="finish reason `content_filter`",
        fault=_answer(message=PONG, delta=PONG, finish_reason="content_filter"),
        error=e.ContentFilteredError,
        fields={"reason": "content_filter"},
    ),
    FaultRow(
        name="a refusal instead of an answer",
        fault=_answer(message={"refusal": "no"}, delta={"refusal": "no"}, finish_reason="stop"),
        error=e.ContentFilteredError,
        fields={"reason": "stop"},
    ),
    FaultRow(
        name="200 with an error: no credits left",
        fault=WrongShape(NO_CREDIT),
        error=e.QuotaExhaustedError,
    ),
    FaultRow(
        name="200 with an error: prompt too long (vLLM)",
        fault=WrongShape(
            {"object": "error", "message": "This model's maximum context length is 64 tokens", "code": 400}
        ),
        error=e.ContextLengthExceededError,
        status_code=400,
        fields={"limit_tokens": 64},
    ),
    _bad("content that is a number", _answer(message={"content": 7}, delta={"content": 7}, finish_reason="stop")),
    _bad("a finish reason that is a number", _answer(message=PONG, delta=PONG, finish_reason=7)),
    _bad("only a second answer", _answer(message=PONG, delta=PONG, finish_reason="stop", index=1)),
    _streamed("a stream that ends without a finish reason", Cut(1, "clean")),
    _streamed("a stream without an event", Cut(0, "clean")),
    _streamed("an event that is half a JSON text", MalformedPiece(1)),
    _streamed("an event that is JSON null", MalformedPiece(1, b"null")),
    _streamed("an event of 2 MiB", StreamBytes(b"data: " + b"x" * 2 * 2**20)),
    _streamed(
        "a JSON answer instead of a stream, without choices",
        Body(b'{"choices": []}', {"content-type": "application/json"}),
    ),
    _streamed(
        "a JSON error instead of a stream",
        Body(json.dumps(NO_CREDIT).encode(), {"content-type": "application/json"}),
        e.QuotaExhaustedError,
    ),
    _streamed("an event of another protocol", MalformedPiece(1, b'{"type": "ping"}')),
    _streamed(
        "invalid JSON after the last event",
        StreamBytes(_event(delta=PONG, finish_reason="stop") + b"data: {\n\n"),
    ),
    _streamed("an error in the stream", ErrorPiece(1), e.ProviderUnavailableError),
)


def chat_fault_rows() -> Mapping[str, Sequence[FaultRow]]:
    """Return the rows by the heading of their section, for `FaultMatrix.rows`."""
    return {
        "Timeouts": TIME,
        "Connection failures": CONNECTION,
        "Error responses": STATUSES,
        "Invalid answers": CONTENT,
    }
