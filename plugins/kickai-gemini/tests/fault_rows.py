"""The rows of docs/fault-matrix.md: what can go wrong between the plugin and the service, and the error it becomes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from gemini_faults import Bomb, Responses
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
from kickai_providers_core.testing import FaultRow
from kickai_providers_core.testing.fault_matrix import STREAMS, WHOLE_ANSWERS
from kickai_providers_core.testing.faults import (
    CloseEarly,
    Cut,
    Delay,
    Drip,
    DripError,
    EmptyBody,
    ErrorPiece,
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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core import ProviderError

HUNG_UP = "the service hung up, or does not speak HTTP at URL"
CUT = "the answer was cut: the connection ended in the middle of it"
UNREADABLE = "the answer cannot be read: it is not in the form of the Gemini API"
NO_ANSWER = "the response has neither an answer nor a reason for having none"
UNFINISHED = "the answer was cut: it ended without a finish reason"
LATE = "no answer in time"
REDIRECTS = "the service redirects to another address, and redirects are not followed"
UNAVAILABLE = "the service is not available"
REFUSED_KEY = "the service does not accept the key"
REFUSED = "the service does not accept this request"
MINUTE = "too many requests or tokens at the moment (RESOURCE_EXHAUSTED)"
NOT_SERVED = "the model is not served here, or not for this key"
TOO_LARGE = "the answer is larger than 8388608 bytes"
THOUGHT = (
    "the answer is empty: thinking used all 60 tokens of max_tokens = 64; raise max_tokens or lower thinking_level"
)

THINKING = {"promptTokenCount": 3, "thoughtsTokenCount": 60, "totalTokenCount": 63}
NO_CONTENT = {"candidates": [{"finishReason": "STOP", "index": 0}], "usageMetadata": USAGE}

late = partial(FaultRow, error=ProviderTimeoutError, message=LATE, expires="total")
unavailable = partial(FaultRow, error=ProviderUnavailableError)
invalid = partial(FaultRow, error=InvalidReplyError)
filtered = partial(FaultRow, error=ContentFilteredError)


def status(name: str, code: int, error: type[ProviderError], message: str, kind: str = "", **fields: Any) -> FaultRow:
    """Return the row of an HTTP status."""
    fault = Status(code, kind, fields.pop("headers", {}), fields.pop("body", None))
    return FaultRow(name=name, fault=fault, error=error, message=message, **fields)


def says(*responses: Mapping[str, Any]) -> Responses:
    """Return the fault of a service that answers with these response objects."""
    return Responses(responses)


def withheld(reason: str) -> FaultRow:
    """Return the row of an answer that the service withholds."""
    return filtered(
        name=f"the answer is withheld: {reason}",
        fault=says(candidate("Some of i", reason, usage=USAGE)),
        message=f"Gemini withheld the answer: {reason}",
        fields={"reason": reason},
    )


CONNECTIONS = (
    unavailable(
        name="nothing listens",
        fault=Unreachable.REFUSED,
        message="the service cannot be reached at URL (Connection refused)",
        reached=False,
    ),
    late(name="connecting hangs", fault=Unreachable.HANGS, message="no connection in time", expires="connect"),
    late(name="silence", fault=Silence()),
    late(name="the answer comes too late", fault=Delay(5)),
    late(name="the head comes byte by byte", fault=SlowHeaders(0.05)),
    late(name="the body comes byte by byte", fault=Drip(0.05)),
    late(name="an error's body never ends", fault=DripError(), status_code=None),
    unavailable(name="reset before the answer", fault=Reset(), message=HUNG_UP),
    unavailable(name="reset within the answer", fault=Reset(10_000), message=HUNG_UP),
    unavailable(name="closed before the answer", fault=CloseEarly(), message=HUNG_UP),
    invalid(name="closed within the answer", fault=CloseEarly(10_000), message=CUT),
    invalid(name="a body shorter than announced", fault=ShortBody(), message=CUT),
    unavailable(name="another protocol", fault=NotHttp(), message=HUNG_UP),
    unavailable(
        name="a redirect to another server",
        fault=Redirect("http://127.0.0.1:9/"),
        message=REDIRECTS,
        status_code=307,
    ),
    unavailable(name="endless redirects", fault=RedirectLoop(), message=REDIRECTS, status_code=307),
)

BODIES = (
    invalid(name="malformed JSON", fault=Malformed(), message=UNREADABLE),
    invalid(name="endlessly nested JSON", fault=Malformed(b"[" * 100_000), message=UNREADABLE),
    invalid(name="text that is not UTF-8", fault=Malformed(b"\xff\xfe"), message=UNREADABLE),
    invalid(name="an empty body", fault=EmptyBody(), message=UNREADABLE, stream_message=UNFINISHED),
    invalid(name="a login page with status 200", fault=WrongContentType(), message=UNREADABLE),
    invalid(name="a body of 4 MiB", fault=HugeBody(2**22), message=UNREADABLE),
    invalid(name="a body of 64 MiB", fault=HugeBody(2**26), message=TOO_LARGE, modes=WHOLE_ANSWERS),
    invalid(
        name="a megabyte that decompresses to a gigabyte",
        fault=Bomb(),
        message=TOO_LARGE,
    ),
    invalid(
        name="an encoding that was not requested",
        fault=Bomb("br"),
        message="the answer is compressed in a way that was not asked for",
    ),
    unavailable(
        name="an error that decompresses to a gigabyte",
        fault=Bomb(status=500),
        message=UNAVAILABLE,
        status_code=500,
    ),
    invalid(name="JSON of another shape", fault=WrongShape(), message=NO_ANSWER),
    invalid(name="a number", fault=Malformed(b"7"), message=UNREADABLE),
)

STATUSES = (
    status("400", 400, UnsupportedRequestError, f"{REFUSED} (INVALID_ARGUMENT)"),
    status("400, the key is not valid", 400, AuthenticationError, f"{REFUSED_KEY} (API_KEY_INVALID)", "auth"),
    status(
        "400, not in this country",
        400,
        AuthenticationError,
        "the key may not use the service, because of its region or its billing (FAILED_PRECONDITION)",
        "region",
    ),
    status(
        "400, the prompt is too long",
        400,
        ContextLengthExceededError,
        "the prompt and the answer do not fit the model's context window (INVALID_ARGUMENT)",
        "context_length",
        fields={"limit_tokens": 1048576},
    ),
    status("401", 401, AuthenticationError, f"{REFUSED_KEY} (UNAUTHENTICATED)"),
    status("402", 402, QuotaExhaustedError, "the credit or the quota is used up"),
    status("403", 403, AuthenticationError, f"{REFUSED_KEY} (PERMISSION_DENIED)"),
    status(
        "403, for one model",
        403,
        ModelNotFoundError,
        "the key may not use the model (PERMISSION_DENIED)",
        body=b'{"error": {"status": "PERMISSION_DENIED", "message": "Denied for models/gemini-3.5-flash-lite."}}',
    ),
    status(
        "400, one parameter and its limit",
        400,
        UnsupportedRequestError,
        f"{REFUSED}: max_tokens, limit 8192",
        body=b'{"error": {"message": "maxOutputTokens must be at most 8192"}}',
    ),
    status("404, a retired model", 404, ModelNotFoundError, f"{NOT_SERVED} (NOT_FOUND)"),
    status("408", 408, ProviderUnavailableError, UNAVAILABLE),
    status("409", 409, ProviderUnavailableError, f"{UNAVAILABLE} (ABORTED)"),
    status("413", 413, UnsupportedRequestError, REFUSED),
    status("422", 422, UnsupportedRequestError, REFUSED),
    status("429, per minute, with a delay", 429, RateLimitedError, MINUTE, "rate_limit", retry_after_s=6.489),
    status(
        "429, per minute, with a longer Retry-After",
        429,
        RateLimitedError,
        MINUTE,
        "rate_limit",
        headers={"retry-after": "30"},
        retry_after_s=30.0,
    ),
    status(
        "429, per day",
        429,
        QuotaExhaustedError,
        "the daily quota is used up (RESOURCE_EXHAUSTED)",
        "quota",
        retry_after_s=(6, 25 * 3600),
        note="until midnight, Pacific time",
    ),
    status("429 without a body", 429, RateLimitedError, "too many requests or tokens at the moment", body=b""),
    status("499", 499, ProviderUnavailableError, f"{UNAVAILABLE} (CANCELLED)"),
    status("500", 500, ProviderUnavailableError, f"{UNAVAILABLE} (INTERNAL)"),
    status("500, the error is a string", 500, ProviderUnavailableError, UNAVAILABLE, body=b'"oops"'),
    status("502, a proxy's page", 502, ProviderUnavailableError, UNAVAILABLE, body=b"<html>Bad Gateway"),
    status("503, overloaded", 503, ProviderUnavailableError, f"{UNAVAILABLE} (UNAVAILABLE)"),
    status(
        "503 with a delay",
        503,
        ProviderUnavailableError,
        f"{UNAVAILABLE} (UNAVAILABLE)",
        headers={"retry-after": "3"},
        retry_after_s=3.0,
    ),
    status("504, the service's own deadline", 504, ProviderUnavailableError, f"{UNAVAILABLE} (DEADLINE_EXCEEDED)"),
)

ANSWERS = (
    filtered(
        name="the prompt is refused: SAFETY",
        fault=says({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE}),
        message="Gemini refused the prompt: SAFETY",
        fields={"reason": "SAFETY"},
    ),
    invalid(
        name="feedback on the prompt without a reason",
        fault=says({"promptFeedback": {}, "usageMetadata": USAGE}),
        message=NO_ANSWER,
        stream_message=UNFINISHED,
    ),
    invalid(
        name="a part that was not requested",
        fault=says(candidate(finish="STOP", parts=[{"text": "a"}, {"executableCode": {"code": "1"}}], usage=USAGE)),
        message="the answer has a part that is not understood: executableCode",
    ),
    filtered(
        name="the prompt is refused: PROHIBITED_CONTENT",
        fault=says({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
        message="Gemini refused the prompt: PROHIBITED_CONTENT",
        fields={"reason": "PROHIBITED_CONTENT"},
    ),
    *map(withheld, ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE")),
    invalid(
        name="no candidates, and no reason",
        fault=says({"candidates": [], "modelVersion": "m"}),
        message=NO_ANSWER,
        stream_message=UNFINISHED,
    ),
    invalid(name="an answer without a finish reason", fault=says(candidate("half", usage=USAGE)), message=UNFINISHED),
    invalid(
        name="a candidate without content",
        fault=says(NO_CONTENT),
        message="the answer is empty (finish reason stop)",
    ),
    invalid(
        name="thinking used all tokens",
        fault=says(candidate("", "MAX_TOKENS", parts=[{}], usage=THINKING)),
        message=THOUGHT,
        fields={"due_to_request": True},
    ),
    invalid(
        name="a function call that the model got wrong",
        fault=says(candidate("", "MALFORMED_FUNCTION_CALL", usage=USAGE)),
        message="the model stopped with MALFORMED_FUNCTION_CALL",
    ),
    invalid(name="OTHER", fault=says(candidate("half", "OTHER", usage=USAGE)), message="the model stopped with OTHER"),
)

IN_STREAMS = (
    late(
        name="the first token comes too late",
        fault=SlowFirstToken(5),
        message="no first token in time",
        expires="first_token",
        modes=STREAMS,
    ),
    late(name="the stream stalls", fault=Stall(), message="the stream stalled", expires="idle", modes=STREAMS),
    late(
        name="an event comes byte by byte",
        fault=Drip(0.05),
        message="no first token in time",
        expires="first_token",
        modes=STREAMS,
    ),
    invalid(name="the stream is closed", fault=Cut(1, "fin"), message=CUT, modes=STREAMS),
    unavailable(name="the stream is reset", fault=Cut(1, "rst"), message=HUNG_UP, modes=STREAMS),
    invalid(
        name="the stream ends well, but too soon",
        fault=Cut(1, "clean"),
        message=UNFINISHED,
        modes=STREAMS,
    ),
    invalid(name="a stream without an event", fault=Cut(0, "clean"), message=UNFINISHED, modes=STREAMS),
    invalid(
        name="a malformed event",
        fault=MalformedPiece(),
        message=UNREADABLE,
        modes=STREAMS,
    ),
    unavailable(
        name="an error within the stream: 503",
        fault=ErrorPiece(1),
        message=f"{UNAVAILABLE} (UNAVAILABLE)",
        status_code=503,
        modes=STREAMS,
    ),
    FaultRow(
        name="an error within the stream: 429",
        fault=ErrorPiece(1, "rate_limit", 429),
        error=RateLimitedError,
        message=MINUTE,
        status_code=429,
        retry_after_s=6.489,
        modes=STREAMS,
    ),
    invalid(
        name="the model stops with an error after a finish reason",
        fault=says(candidate("Some", "STOP"), candidate("thing", "OTHER", usage=USAGE)),
        message="the model stopped with OTHER",
        modes=STREAMS,
    ),
    filtered(
        name="the rest is withheld after a finish reason",
        fault=says(candidate("Some", "STOP"), candidate("", "SAFETY", usage=USAGE)),
        message="Gemini withheld the answer: SAFETY",
        fields={"reason": "SAFETY"},
        modes=STREAMS,
    ),
    filtered(
        name="the rest is withheld",
        fault=says(candidate("Some"), candidate("", "SAFETY", usage=USAGE)),
        message="Gemini withheld the answer: SAFETY",
        fields={"reason": "SAFETY"},
        modes=STREAMS,
    ),
)

SECTIONS = {
    "Connections": CONNECTIONS,
    "Bodies": BODIES,
    "Statuses": STATUSES,
    "Answers": ANSWERS,
    "Within streams": IN_STREAMS,
}
