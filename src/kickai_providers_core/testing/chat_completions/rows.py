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


def _expect_timeout(name: str, fault: Fault | Unreachable, expires: TimeoutPhase = "total", **more: Any) -> FaultRow:
    return FaultRow(name=name, fault=fault, error=e.ProviderTimeoutError, expires=expires, **more)


def _expect_outage(name: str, fault: Fault | Unreachable, **more: Any) -> FaultRow:
    return FaultRow(name=name, fault=fault, error=e.ProviderUnavailableError, **more)


def _expect_invalid(name: str, fault: Fault, **more: Any) -> FaultRow:
    return FaultRow(name=name, fault=fault, error=e.InvalidReplyError, **more)


def _expect_status(code: int, error: type[e.ProviderError], name: str, kind: str = "", **more: Any) -> FaultRow:
    fault = more.pop("fault", None) or Status(code, kind, more.pop("headers", {}), more.pop("body", None))
    return FaultRow(name=f"{code}: {name}", fault=fault, error=error, status_code=code, **more)


def _build_answer(**choice: Any) -> WrongShape:
    return WrongShape({"model": "m", "choices": [{"index": 0, **choice}]})


def _encode_event(**choice: Any) -> bytes:
    return b"data: " + json.dumps({"model": "m", "choices": [{"index": 0, **choice}]}).encode() + b"\n\n"


def _expect_in_stream(
    name: str, fault: Fault, error: type[e.ProviderError] = e.InvalidReplyError, **more: Any
) -> FaultRow:
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
WORD = encode_chunk(_encode_event(delta={"content": "x"}))
NOTHING = encode_chunk(_encode_event(delta={}))
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
    _expect_timeout("silence", Silence()),
    _expect_timeout("the answer comes too late", Delay(5.0)),
    _expect_timeout("the headers come byte by byte", SlowHeaders(0.05)),
    _expect_timeout("the body comes byte by byte", Drip(0.05)),
    _expect_timeout("endless interim responses (100 Continue)", Endless(CONTINUE, CONTINUE, 0.02)),
    _expect_timeout("an endless body, sent slowly", Endless(b"1\r\n \r\n", CHUNKED, 0.02)),
    _expect_timeout("endless interim responses, sent fast", Endless(CONTINUE * 100, CONTINUE)),
    _expect_timeout("an endless body of single bytes, sent fast", Endless(encode_chunk(b"\n") * 1000, CHUNKED)),
    _expect_timeout("endless comments, sent fast", Endless(encode_chunk(b": ping\n\n" * 1000)), modes=STREAMS),
    _expect_timeout(
        "endless events with text, sent fast",
        Endless(encode_chunk(_encode_event(delta={"content": "x"})) * 100),
        modes=STREAMS,
    ),
    _expect_timeout("connecting hangs", Unreachable.HANGS, "connect"),
    _expect_timeout("no first token", SlowFirstToken(5.0), "first_token", modes=STREAMS),
    _expect_timeout(
        "events without text",
        Endless(encode_chunk(_encode_event(delta={})), interval_s=0.02),
        "first_token",
        modes=STREAMS,
    ),
    _expect_timeout(
        "endless comments", Endless(encode_chunk(b": ping\n\n"), interval_s=0.02), "first_token", modes=STREAMS
    ),
    _expect_timeout("a stall in the middle", Stall(1), "idle", modes=STREAMS),
    _expect_timeout("a stall in the middle, shortly before the deadline", Stall(1), modes=STREAMS),
)
CONNECTION = (
    _expect_outage("the connection is refused", Unreachable.REFUSED, reached=False),
    _expect_outage("a protocol other than HTTP", NotHttp()),
    _expect_outage("reset before the answer", Reset()),
    _expect_outage("closed before the answer", CloseEarly()),
    _expect_outage("closed within the headers", CloseEarly(30)),
    _expect_outage("endless headers", Endless(b"x-a: " + BIG[:8000] + b"\r\n", HEAD)),
    _expect_outage("an endless header", Endless(BIG, HEAD + b"x-a: ")),
    _expect_outage("an endless status line", Endless(BIG, b"HTTP/1.1 200 ")),
    _expect_invalid("an endless chunk extension", Endless(BIG, CHUNKED + b"5;")),
    _expect_invalid("endless trailers", Endless(b"t: " + BIG[:1000] + b"\r\n", CHUNKED + b"0\r\n")),
    _expect_outage("reset within the body", Reset(100_000)),
    _expect_invalid("closed within the body", CloseEarly(100_000)),
    _expect_invalid("a body shorter than its content-length", ShortBody()),
    _expect_outage("a redirect to another server", Redirect("http://127.0.0.1:9/")),
    _expect_outage("a redirect loop", RedirectLoop(302)),
    _expect_in_stream("a stream closed in the middle", Cut(1, "fin")),
    _expect_in_stream("a stream reset in the middle", Cut(1, "rst"), e.ProviderUnavailableError),
)
STATUSES = (
    _expect_status(400, e.UnsupportedRequestError, "an unsupported parameter", "invalid_request"),
    _expect_status(400, e.ContextLengthExceededError, "too long", "context_length", fields={"limit_tokens": 4096}),
    _expect_status(
        400, e.ContentFilteredError, "content filter", "content_filter", fields={"reason": "content_filter"}
    ),
    _expect_status(400, e.ModelNotFoundError, "no provider has the model", "model_not_found"),
    _expect_status(401, e.AuthenticationError, "token refused", "auth"),
    _expect_status(402, e.QuotaExhaustedError, "no credits left", "quota"),
    _expect_status(429, e.QuotaExhaustedError, "`insufficient_quota`", "quota"),
    _expect_status(403, e.AuthenticationError, "token lacks the permission", "auth"),
    _expect_status(403, e.ModelNotFoundError, "no access to this model", body=NO_ACCESS),
    _expect_status(404, e.ModelNotFoundError, "not served", "model_not_found"),
    _expect_status(405, e.ModelNotFoundError, "the address does not accept POST", body=HTML),
    _expect_status(408, e.ProviderTimeoutError, "request timeout", body=b"", phase="total"),
    _expect_status(409, e.ProviderUnavailableError, "conflict", body=b"{}"),
    _expect_status(410, e.ModelNotFoundError, "retired", body=b'{"error": "gone"}'),
    _expect_status(413, e.UnsupportedRequestError, "too large, no reason given", body=b"null"),
    _expect_status(
        413, e.ContextLengthExceededError, "too large, by tokens", "context_length", fields={"limit_tokens": 4096}
    ),
    _expect_status(418, e.UnsupportedRequestError, "an unusual status", body=b""),
    _expect_status(422, e.UnsupportedRequestError, "a field is wrong; the prompt is echoed", body=DETAIL),
    _expect_status(
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
    _expect_status(
        429, e.RateLimitedError, "`RateLimit`, longer than `Retry-After`", headers=LIMIT, retry_after_s=55.0
    ),
    _expect_status(429, e.RateLimitedError, "OpenAI's rate-limit headers", headers=OPENAI_LIMIT, retry_after_s=66.5),
    _expect_status(429, e.QuotaExhaustedError, "the daily quota is used up", body=DAILY, retry_after_s=432.5),
    _expect_status(451, e.ContentFilteredError, "for legal reasons", body=b"", fields={"reason": "content_filter"}),
    _expect_status(500, e.ProviderUnavailableError, "the error is a list", body=b'["x"]'),
    _expect_status(500, e.ProviderUnavailableError, "the error is a string", body=b'"x"'),
    _expect_status(500, e.ProviderUnavailableError, "half a body", body=b'{"error": '),
    _expect_status(500, e.ProviderUnavailableError, "an endless body", fault=Endless(encode_chunk(BIG), ERROR_FLOOD)),
    _expect_status(500, e.UnsupportedRequestError, "llama.cpp, started without tools", body=JINJA),
    _expect_status(
        500, e.UnsupportedRequestError, "llama.cpp, invalid tool arguments in the conversation", body=ARGUMENTS
    ),
    _expect_status(502, e.ProviderUnavailableError, "a proxy's HTML page", body=HTML),
    _expect_status(504, e.ProviderUnavailableError, "gateway timeout", body=HTML),
    FaultRow(
        name="422 with a chunked body",
        fault=RawBytes(CHUNKED_422),
        error=e.ContextLengthExceededError,
        status_code=422,
        fields={"limit_tokens": 64},
    ),
    _expect_outage("503 whose body comes byte by byte", Endless(b" ", ERROR_HEAD, 0.02), status_code=503),
)
CONTENT = (
    _expect_invalid("half a JSON text", Malformed()),
    _expect_invalid("deeply nested JSON", Malformed(b"[" * 100_000)),
    _expect_invalid("invalid UTF-8", Malformed(b'{"model": "\xff\xfe"}')),
    _expect_invalid("an empty body", EmptyBody()),
    _expect_invalid("a login page with status 200", WrongContentType()),
    _expect_invalid("a body of 16 MiB", HugeBody(16 * 2**20)),
    _expect_invalid(
        "a body that is not compressed as declared",
        Body(b"pong", {"content-type": "application/json", "content-encoding": "gzip"}),
    ),
    _expect_invalid("a compressed body of 100 MB", Body(BOMB, {**JSON_HEADERS, **GZIP})),
    _expect_in_stream(
        "a compressed stream of 300 MB", Body(EVENT_BOMB, {"content-type": "text/event-stream", **GZIP}), within_s=30.0
    ),
    _expect_invalid(
        "a body compressed four times", Body(b"x", {**JSON_HEADERS, "content-encoding": "gzip, gzip, gzip, gzip"})
    ),
    _expect_invalid("an encoding that was not requested", Body(b"x", {**JSON_HEADERS, "content-encoding": "zstd"})),
    _expect_invalid("a truncated compressed body", Body(gzip.compress(b'{"a": 1}')[:-9], {**JSON_HEADERS, **GZIP})),
    _expect_invalid("a number of a million digits", Malformed(b'{"x": ' + b"9" * 1_000_000 + b"}")),
    _expect_invalid("NaN", Malformed(b'{"x": NaN}')),
    _expect_invalid("an endless line", Endless(encode_chunk(BIG))),
    _expect_invalid("JSON null", WrongShape(None)),
    _expect_invalid("a list", WrongShape([1])),
    _expect_invalid("an object without choices", WrongShape({"id": "x"})),
    _expect_invalid("an empty list of choices", WrongShape({"choices": []})),
    _expect_invalid("choices that are a number", WrongShape({"choices": 7})),
    _expect_invalid(
        "an empty answer", _build_answer(message={"content": ""}, delta={"content": ""}, finish_reason="stop")
    ),
    _expect_invalid("no finish reason", _build_answer(message=PONG, delta=PONG)),
    _expect_invalid("an unknown finish reason", _build_answer(message=PONG, delta=PONG, finish_reason="weather")),
    FaultRow(
        name="finish reason `content_filter`",
        fault=_build_answer(message=PONG, delta=PONG, finish_reason="content_filter"),
        error=e.ContentFilteredError,
        fields={"reason": "content_filter"},
    ),
    FaultRow(
        name="a refusal instead of an answer",
        fault=_build_answer(message={"refusal": "no"}, delta={"refusal": "no"}, finish_reason="stop"),
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
    _expect_invalid(
        "content that is a number", _build_answer(message={"content": 7}, delta={"content": 7}, finish_reason="stop")
    ),
    _expect_invalid("a finish reason that is a number", _build_answer(message=PONG, delta=PONG, finish_reason=7)),
    _expect_invalid("only a second answer", _build_answer(message=PONG, delta=PONG, finish_reason="stop", index=1)),
    _expect_in_stream("a stream that ends without a finish reason", Cut(1, "clean")),
    _expect_in_stream("a stream without an event", Cut(0, "clean")),
    _expect_in_stream("an event that is half a JSON text", MalformedPiece(1)),
    _expect_in_stream("an event that is JSON null", MalformedPiece(1, b"null")),
    _expect_in_stream("an event of 2 MiB", StreamBytes(b"data: " + b"x" * 2 * 2**20)),
    _expect_in_stream(
        "a JSON answer instead of a stream, without choices",
        Body(b'{"choices": []}', {"content-type": "application/json"}),
    ),
    _expect_in_stream(
        "a JSON error instead of a stream",
        Body(json.dumps(NO_CREDIT).encode(), {"content-type": "application/json"}),
        e.QuotaExhaustedError,
    ),
    _expect_in_stream("an event of another protocol", MalformedPiece(1, b'{"type": "ping"}')),
    _expect_in_stream(
        "invalid JSON after the last event",
        StreamBytes(_encode_event(delta=PONG, finish_reason="stop") + b"data: {\n\n"),
    ),
    _expect_in_stream("an error in the stream", ErrorPiece(1), e.ProviderUnavailableError),
)


def chat_fault_rows() -> Mapping[str, Sequence[FaultRow]]:
    """Return the rows by the heading of their section, for `FaultMatrix.rows`."""
    return {
        "Timeouts": TIME,
        "Connection failures": CONNECTION,
        "Error responses": STATUSES,
        "Invalid answers": CONTENT,
    }
