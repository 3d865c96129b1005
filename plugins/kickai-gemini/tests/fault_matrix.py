"""What can go wrong between this plugin and the service, and what becomes of it: the rows of docs/fault-matrix.md.

``python tests/fault_matrix.py`` writes the document; the tests hold every row against the real clients, and the
document against the rows.
"""

from __future__ import annotations

import asyncio
import gzip
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen
from gemini_service import USAGE, candidate
from kickai_providers_core import (
    AuthenticationError,
    ContentFilteredError,
    ContextLengthExceededError,
    InvalidReplyError,
    ModelNotFoundError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    UnsupportedRequestError,
)
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
    Ok,
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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core import ProviderError
    from kickai_providers_core.testing.faults.exchange import Exchange

DOCUMENT = Path(__file__).parents[1] / "docs" / "fault-matrix.md"

TIMEOUT_S = 0.4
"""The whole attempt, in the rows in which that runs out."""

BOUND_S = 0.3
"""Connecting, the first token and idleness, in the rows in which one of those runs out."""

ALL = ("invoke", "ainvoke", "stream", "astream")
WHOLE = ("invoke", "ainvoke")
STREAMS = ("stream", "astream")

UNREACHABLE = "the service hung up, or failed while it answered"
UNREACHED = "the service cannot be reached"
CUT = "the answer was cut, or is no HTTP"
UNREADABLE = "the answer cannot be read: it is not in the form of the Gemini API"
NOTHING = "the response has neither an answer nor a reason for having none"
UNFINISHED = "the answer was cut: it ended without a finish reason"
TOO_LATE = "no answer in time"
REDIRECTS = "the service redirects elsewhere, and the key goes nowhere else"
MINUTE = "too many requests or tokens for the moment"
DAY = "the daily quota is spent"
ENCODING = "the answer is compressed in a way that was not asked for"
UNENDED = "the answer was cut: its list of responses does not end"
TOO_LARGE = "the answer is too large: more than 8 MiB"
THOUGHT = (
    "the answer is empty: thinking used all 60 tokens of max_tokens = 64; raise max_tokens or lower thinking_level"
)


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
class Bomb(Fault):
    """A small body that unpacks to a gigabyte of zeros."""

    encoding: str = "gzip"
    status: int = 200

    async def play(self, exchange: Exchange) -> None:
        """Send the body."""
        head = b"HTTP/1.1 %d X\r\ncontent-encoding: %s\r\ncontent-length: %d\r\n\r\n"
        body = _bomb()
        await exchange.link.send(head % (self.status, self.encoding.encode(), len(body)) + body)


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(2**24)) * 64


@frozen(kw_only=True)
class Row:
    """One fault.

    Attributes:
        name: What happens.
        fault: What the server does, when there is one.
        place: Where the request goes: to the server, to a port that is closed, or to one where connecting hangs.
        answer: What the service answers instead, as the response objects of the API.
        error: What the caller gets.
        says: Its message.
        phase: Which timeout ran out, when one does.
        status: The status that the error keeps.
        retry_after_s: The delay that it tells; ``midnight`` for the one until the daily quotas are full again.
        reason: The provider's word for a block.
        reached: Whether the service was reached.
        modes: The ways of calling that can meet it.
        of_a_stream: Error and message in streams, where they are others.
        old: Error and message with google-generativeai, where they are others.
    """

    name: str
    error: type[ProviderError]
    says: str
    fault: Fault = field(factory=Ok)
    place: Literal["server", "closed", "hangs"] = "server"
    answer: Sequence[Mapping[str, Any]] | None = None
    phase: str = ""
    status: int | None = None
    retry_after_s: float | Literal["midnight"] | None = None
    reason: str = ""
    reached: bool = True
    modes: tuple[str, ...] = ALL
    of_a_stream: tuple[type[ProviderError], str] | None = None
    old: tuple[type[ProviderError], str] | None = None

    def outcome(self, sdk: str, mode: str) -> tuple[type[ProviderError], str]:
        """Return class and message of the error that a client's call ends in."""
        if self.old is not None and sdk == "google-generativeai":
            return self.old
        return self.of_a_stream if self.of_a_stream and mode in STREAMS else (self.error, self.says)


def status(name: str, code: int, error: type[ProviderError], says: str, kind: str = "", **more: Any) -> Row:
    """Return the row of an HTTP status."""
    fault = Status(code, kind, more.pop("headers", {}), more.pop("body", None))
    return Row(name=name, fault=fault, error=error, says=says, status=code, **more)


def blocked(reason: str) -> Row:
    """Return the row of an answer that the service withholds."""
    told = f"Gemini withheld the answer: {reason}"
    answer = [candidate("Some of i", reason, usage=USAGE)]
    return Row(
        name=f"the answer is withheld: {reason}", answer=answer, error=ContentFilteredError, says=told, reason=reason
    )


THINKING = {"promptTokenCount": 3, "thoughtsTokenCount": 60, "totalTokenCount": 63}
NO_BODY = {"candidates": [{"finishReason": "STOP", "index": 0}], "usageMetadata": USAGE}

CONNECTIONS = (
    Row(name="nobody listens", place="closed", error=ProviderUnavailableError, says=UNREACHED, reached=False),
    Row(
        name="connecting hangs",
        place="hangs",
        error=ProviderTimeoutError,
        says="no connection in time",
        phase="connect",
    ),
    Row(name="silence", fault=Silence(), error=ProviderTimeoutError, says=TOO_LATE, phase="total"),
    Row(name="the answer comes too late", fault=Delay(5), error=ProviderTimeoutError, says=TOO_LATE, phase="total"),
    Row(
        name="the head comes byte by byte",
        fault=SlowHeaders(0.05),
        error=ProviderTimeoutError,
        says=TOO_LATE,
        phase="total",
    ),
    Row(name="the body comes byte by byte", fault=Drip(0.05), error=ProviderTimeoutError, says=TOO_LATE, phase="total"),
    Row(
        name="an error's body never ends",
        fault=DrippingError(),
        error=ProviderTimeoutError,
        says=TOO_LATE,
        phase="total",
    ),
    Row(name="reset before the answer", fault=Reset(), error=ProviderUnavailableError, says=UNREACHABLE),
    Row(name="reset in the middle of it", fault=Reset(10_000), error=ProviderUnavailableError, says=UNREACHABLE),
    Row(name="hung up before the answer", fault=CloseEarly(), error=ProviderUnavailableError, says=UNREACHABLE),
    Row(name="hung up in the middle of it", fault=CloseEarly(10_000), error=InvalidReplyError, says=CUT),
    Row(name="a body shorter than announced", fault=ShortBody(), error=InvalidReplyError, says=CUT),
    Row(name="another protocol", fault=NotHttp(), error=ProviderUnavailableError, says=UNREACHABLE),
    Row(
        name="a redirect to another server",
        fault=Redirect("http://127.0.0.1:9/"),
        error=ProviderUnavailableError,
        says=REDIRECTS,
        status=307,
    ),
    Row(name="redirects without end", fault=RedirectLoop(), error=ProviderUnavailableError, says=REDIRECTS, status=307),
)

BODIES = (
    Row(name="malformed JSON", fault=Malformed(), error=InvalidReplyError, says=UNREADABLE),
    Row(name="JSON nested without end", fault=Malformed(b"[" * 100_000), error=InvalidReplyError, says=UNREADABLE),
    Row(name="text that is no UTF-8", fault=Malformed(b"\xff\xfe"), error=InvalidReplyError, says=UNREADABLE),
    Row(
        name="an empty body",
        fault=EmptyBody(),
        error=InvalidReplyError,
        says=UNREADABLE,
        of_a_stream=(InvalidReplyError, UNFINISHED),
    ),
    Row(name="a login page with status 200", fault=WrongContentType(), error=InvalidReplyError, says=UNREADABLE),
    Row(name="a body of 4 MiB", fault=HugeBody(2**22), error=InvalidReplyError, says=UNREADABLE),
    Row(name="a body of 64 MiB", fault=HugeBody(2**26), error=InvalidReplyError, says=TOO_LARGE, modes=WHOLE),
    Row(
        name="a megabyte that unpacks to a gigabyte",
        fault=Bomb(),
        error=InvalidReplyError,
        says=TOO_LARGE,
        of_a_stream=(InvalidReplyError, UNREADABLE),
    ),
    Row(name="an encoding that was not asked for", fault=Bomb("br"), error=InvalidReplyError, says=ENCODING),
    Row(
        name="an error that unpacks to a gigabyte",
        fault=Bomb(status=500),
        error=ProviderUnavailableError,
        says="the service failed",
        status=500,
    ),
    Row(name="JSON of another shape", fault=WrongShape(), error=InvalidReplyError, says=NOTHING),
    Row(name="a number", fault=Malformed(b"7"), error=InvalidReplyError, says=UNREADABLE),
)

STATUSES = (
    status("400", 400, UnsupportedRequestError, "the service does not accept this request (INVALID_ARGUMENT)"),
    status("400, the key is not valid", 400, AuthenticationError, "the key was refused (API_KEY_INVALID)", "auth"),
    status(
        "400, not in this country",
        400,
        AuthenticationError,
        "this key may not use the service, for its region or its billing (FAILED_PRECONDITION)",
        "region",
    ),
    status(
        "400, the prompt is too long",
        400,
        ContextLengthExceededError,
        "the prompt is too long (INVALID_ARGUMENT)",
        "context_length",
    ),
    status("401", 401, AuthenticationError, "the key was refused (UNAUTHENTICATED)"),
    status("402", 402, QuotaExhaustedError, "the credit is spent"),
    status("403", 403, AuthenticationError, "the key was refused (PERMISSION_DENIED)"),
    status(
        "403, for one model",
        403,
        ModelNotFoundError,
        "this key may not use the model (PERMISSION_DENIED)",
        body=b'{"error": {"status": "PERMISSION_DENIED", "message": "Denied for models/gemini-3.5-flash-lite."}}',
    ),
    status(
        "400, one parameter and its limit",
        400,
        UnsupportedRequestError,
        "the service does not accept this request: max_tokens, limit 8192",
        body=b'{"error": {"message": "maxOutputTokens must be at most 8192"}}',
    ),
    status("404, a retired model", 404, ModelNotFoundError, "the model is not served (NOT_FOUND)"),
    status("408", 408, ProviderUnavailableError, "the service failed"),
    status("409", 409, ProviderUnavailableError, "the service failed (ABORTED)"),
    status("413", 413, UnsupportedRequestError, "the service does not accept this request"),
    status("422", 422, UnsupportedRequestError, "the service does not accept this request"),
    status("429, per minute, come back in 6.489 s", 429, RateLimitedError, MINUTE, "rate_limit", retry_after_s=6.489),
    status(
        "429, per minute, and a longer Retry-After",
        429,
        RateLimitedError,
        MINUTE,
        "rate_limit",
        headers={"retry-after": "30"},
        retry_after_s=30.0,
    ),
    status("429, per day", 429, QuotaExhaustedError, DAY, "quota", retry_after_s="midnight"),
    status("429 without a word", 429, RateLimitedError, MINUTE, body=b""),
    status("499", 499, ProviderUnavailableError, "the service failed (CANCELLED)"),
    status("500", 500, ProviderUnavailableError, "the service failed (INTERNAL)"),
    status("500, told as a text", 500, ProviderUnavailableError, "the service failed", body=b'"oops"'),
    status("502, a proxy's page", 502, ProviderUnavailableError, "the service failed", body=b"<html>Bad Gateway"),
    status("503, overloaded", 503, ProviderUnavailableError, "the service failed (UNAVAILABLE)"),
    status(
        "503, come back in 3 s",
        503,
        ProviderUnavailableError,
        "the service failed (UNAVAILABLE)",
        headers={"retry-after": "3"},
        retry_after_s=3.0,
    ),
    status("504, the service's own deadline", 504, ProviderUnavailableError, "the service failed (DEADLINE_EXCEEDED)"),
)

ANSWERS = (
    Row(
        name="the prompt is refused: SAFETY",
        answer=[{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE}],
        error=ContentFilteredError,
        says="Gemini refused the prompt: SAFETY",
        reason="SAFETY",
    ),
    Row(
        name="feedback on the prompt without a reason",
        answer=[{"promptFeedback": {}, "usageMetadata": USAGE}],
        error=InvalidReplyError,
        says=NOTHING,
        of_a_stream=(InvalidReplyError, UNFINISHED),
    ),
    Row(
        name="a part that was not asked for",
        answer=[candidate(finish="STOP", parts=[{"text": "a"}, {"executableCode": {"code": "1"}}], usage=USAGE)],
        error=InvalidReplyError,
        says="the answer has a part that is not understood: executableCode",
    ),
    Row(
        name="the prompt is refused: PROHIBITED_CONTENT",
        answer=[{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}],
        error=ContentFilteredError,
        says="Gemini refused the prompt: PROHIBITED_CONTENT",
        reason="PROHIBITED_CONTENT",
    ),
    *map(blocked, ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE")),
    Row(
        name="no candidates, and no reason",
        answer=[{"candidates": [], "modelVersion": "m"}],
        error=InvalidReplyError,
        says=NOTHING,
        of_a_stream=(InvalidReplyError, UNFINISHED),
    ),
    Row(
        name="an answer without a finish reason",
        answer=[candidate("half", usage=USAGE)],
        error=InvalidReplyError,
        says=UNFINISHED,
    ),
    Row(name="a candidate without content", answer=[NO_BODY], error=InvalidReplyError, says="the answer is empty"),
    Row(
        name="thinking used all tokens",
        answer=[candidate("", "MAX_TOKENS", parts=[{}], usage=THINKING)],
        error=InvalidReplyError,
        says=THOUGHT,
    ),
    Row(
        name="a call that the model got wrong",
        answer=[candidate("", "MALFORMED_FUNCTION_CALL", usage=USAGE)],
        error=InvalidReplyError,
        says="the model broke off: MALFORMED_FUNCTION_CALL",
    ),
    Row(
        name="OTHER",
        answer=[candidate("half", "OTHER", usage=USAGE)],
        error=InvalidReplyError,
        says="the model broke off: OTHER",
    ),
)

IN_STREAMS = (
    Row(
        name="the first token comes too late",
        fault=SlowFirstToken(5),
        error=ProviderTimeoutError,
        says="no first token in time",
        phase="first_token",
        modes=STREAMS,
    ),
    Row(
        name="the stream stalls",
        fault=Stall(),
        error=ProviderTimeoutError,
        says="the stream stalled",
        phase="idle",
        modes=STREAMS,
    ),
    Row(
        name="an event comes byte by byte",
        fault=Drip(0.05),
        error=ProviderTimeoutError,
        says="no first token in time",
        phase="first_token",
        modes=STREAMS,
    ),
    Row(name="the stream is hung up", fault=Cut(1, "fin"), error=InvalidReplyError, says=CUT, modes=STREAMS),
    Row(
        name="the stream is reset", fault=Cut(1, "rst"), error=ProviderUnavailableError, says=UNREACHABLE, modes=STREAMS
    ),
    Row(
        name="the stream ends well, but too soon",
        fault=Cut(1, "clean"),
        error=InvalidReplyError,
        says=UNFINISHED,
        modes=STREAMS,
        old=(InvalidReplyError, UNENDED),
    ),
    Row(
        name="a stream without an event", fault=Cut(0, "clean"), error=InvalidReplyError, says=UNFINISHED, modes=STREAMS
    ),
    Row(
        name="a malformed event",
        fault=MalformedPiece(),
        error=InvalidReplyError,
        says=UNREADABLE,
        modes=STREAMS,
        old=(InvalidReplyError, UNENDED),
    ),
    Row(
        name="an error in the middle: 503",
        fault=ErrorPiece(1),
        error=ProviderUnavailableError,
        says="the service failed (UNAVAILABLE)",
        status=503,
        modes=STREAMS,
    ),
    Row(
        name="an error in the middle: 429",
        fault=ErrorPiece(1, "rate_limit", 429),
        error=RateLimitedError,
        says=MINUTE,
        status=429,
        retry_after_s=6.489,
        modes=STREAMS,
    ),
    Row(
        name="the model breaks off after a finish reason",
        answer=[candidate("Some", "STOP"), candidate("thing", "OTHER", usage=USAGE)],
        error=InvalidReplyError,
        says="the model broke off: OTHER",
        modes=STREAMS,
    ),
    Row(
        name="the rest is withheld after a finish reason",
        answer=[candidate("Some", "STOP"), candidate("", "SAFETY", usage=USAGE)],
        error=ContentFilteredError,
        says="Gemini withheld the answer: SAFETY",
        reason="SAFETY",
        modes=STREAMS,
    ),
    Row(
        name="the rest is withheld",
        answer=[candidate("Some"), candidate("", "SAFETY", usage=USAGE)],
        error=ContentFilteredError,
        says="Gemini withheld the answer: SAFETY",
        reason="SAFETY",
        modes=STREAMS,
    ),
)

ROWS = (*CONNECTIONS, *BODIES, *STATUSES, *ANSWERS, *IN_STREAMS)


def rendered() -> str:
    """Return the document."""
    cells = 2 * sum(len(row.modes) for row in ROWS)
    return "\n".join([HEAD.format(faults=len(ROWS), cells=cells), *map(_line, ROWS), ""])


HEAD = """# What becomes of each fault

Each row is a fault that the tests cause on a real socket, with both of Google's clients, in each way of calling. The
server is the fault server of `kickai_providers_core.testing`, speaking the REST protocol of the Gemini API as its
reference documents it: JSON, server-sent events for `google-genai`, a JSON array for `google-generativeai`.

In every cell the call makes at most one request, ends in time, tells neither key nor prompt, and leaves the provider
fit for the next call, which is answered. Time runs out at the bound that is set plus at most 0.25 s, and then the
socket is closed.

Written by `python tests/fault_matrix.py`: {faults} faults, {cells} cells.

| fault | in | error | message |
|---|---|---|---|"""


def _line(row: Row) -> str:
    modes = {ALL: "all four ways", WHOLE: "whole answers"}.get(row.modes, "streams")
    told = [row.says]
    if row.retry_after_s is not None:
        delay = "until midnight, Pacific time" if row.retry_after_s == "midnight" else f"{row.retry_after_s:g}"
        told.append(f"`retry_after_s` {delay}")
    told += [f"in a stream: {_outcome(row.of_a_stream, row.error)}"] if row.of_a_stream else []
    told += [f"with google-generativeai: {_outcome(row.old, row.error)}"] if row.old else []
    phase = f" ({row.phase})" if row.phase else ""
    return f"| {row.name} | {modes} | `{row.error.__name__}{phase}` | {'; '.join(told)} |"


def _outcome(outcome: tuple[type[ProviderError], str], usual: type[ProviderError]) -> str:
    kind, says = outcome
    return says if kind is usual else f"`{kind.__name__}`, {says}"


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(), encoding="utf-8")
