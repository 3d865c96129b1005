"""Which error class each HTTP status and each error within a stream may become: the class decides what happens next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.testing.contract.checks.service_messages import check_words
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode, in_each_stream
from kickai_providers_core.testing.contract.helpers.requirements import require_stream
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import ErrorPiece, Status
from kickai_providers_core.values.errors import (
    AuthenticationError,
    ContentFilteredError,
    ContextLengthExceededError,
    InvalidReplyError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    UnsupportedRequestError,
    UnusableProviderError,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.testing.contract.helpers.outcome import CallOutcome

__all__ = ["ErrorClassTests"]

BODIES = {
    "empty": b"",
    "html": b"<html>502 Bad Gateway</html>",
    "list": b"[]",
    "text": b'"down"',
    "null": b"null",
    "half": b'{"error": ',
    "strange": b'{"error": {"message": 7, "code": [], "type": null}, "message": {}, "detail": [1]}',
}
"""Bodies that proxies and broken services send with status 502."""

ABOUT_REQUEST = (UnsupportedRequestError, InvalidRequestError)
OUTAGE = (ProviderUnavailableError, ProviderTimeoutError)
MODEL = ModelNotFoundError

BY_STATUS: dict[int, tuple[type[ProviderError], ...]] = {
    400: (*ABOUT_REQUEST, ContextLengthExceededError),
    401: (AuthenticationError,),
    402: (QuotaExhaustedError,),
    403: (AuthenticationError,),
    404: (MODEL,),
    405: (MODEL, *ABOUT_REQUEST, *OUTAGE),
    407: (UnusableProviderError, *OUTAGE, *ABOUT_REQUEST),
    408: OUTAGE,
    409: OUTAGE,
    410: (MODEL, *ABOUT_REQUEST, *OUTAGE),
    413: (*ABOUT_REQUEST, ContextLengthExceededError),
    414: (*ABOUT_REQUEST, *OUTAGE, ContextLengthExceededError),
    422: ABOUT_REQUEST,
    423: (MODEL, *ABOUT_REQUEST, *OUTAGE),
    424: OUTAGE,
    425: OUTAGE,
    429: (RateLimitedError, QuotaExhaustedError),
    451: (ContentFilteredError, *ABOUT_REQUEST, *OUTAGE),
    501: (*OUTAGE, UnsupportedRequestError),
    503: (*OUTAGE, RateLimitedError),
    529: (*OUTAGE, RateLimitedError),
}
"""What each status may become when the body explains nothing. The guide gives the reasons."""

OTHER_4XX = (*ABOUT_REQUEST, *OUTAGE)

KINDS = {
    "rate_limit": (429, RateLimitedError),
    "quota": (402, QuotaExhaustedError),
    "auth": (401, AuthenticationError),
    "context_length": (400, ContextLengthExceededError),
    "content_filter": (400, ContentFilteredError),
    "unavailable": (503, ProviderUnavailableError),
}


class ErrorClassTests(ProviderSpec):
    """Each error becomes the right error class."""

    @in_each_mode
    def test_every_status_has_its_class(self, harness: ProviderHarness, mode: Mode) -> None:
        """Each status from 400 to 599 that nothing explains becomes an error of a class that fits, with the status."""
        harness.server  # skips the test without a wire  # noqa: B018
        wrong = []
        for code in range(400, 600):
            error = harness.attempt(mode, Status(code, body=b"{}")).raises(ProviderError)
            expected = BY_STATUS.get(code, OUTAGE if code >= 500 else OTHER_4XX)
            # The class itself: an AuthenticationError is an UnusableProviderError too.
            if type(error) not in expected or error.status_code != code:
                names = " or ".join(kind.__name__ for kind in expected)
                wrong.append(f"{code}: expected {names}, got {type(error).__name__} (status_code {error.status_code})")
        failed = [line for line in wrong if line.partition(":")[0] not in _list_unsaid(self.never_says)]
        assert not failed, "\n".join(failed)

    @in_each_stream
    @pytest.mark.parametrize("kind", KINDS)
    def test_an_error_within_a_stream_has_its_class(self, harness: ProviderHarness, mode: Mode, kind: str) -> None:
        """An error that the service reports within a stream has the class of that error, or is a failed answer."""
        require_stream(harness, mode)
        if kind in self.never_says:
            pytest.skip(f"not applicable: never_says contains {kind}")
        code, expected = KINDS[kind]
        error = harness.attempt(mode, ErrorPiece(1, kind, code)).raises(
            expected, ProviderUnavailableError, InvalidReplyError
        )
        check_words(error)

    @in_each_mode
    @pytest.mark.parametrize("code", [400, 413, 422])
    def test_a_refused_request_is_unsupported_or_invalid(self, harness: ProviderHarness, mode: Mode, code: int) -> None:
        """A rejected request is unsupported by this target, or invalid for all when the service makes that certain."""
        outcome = self._meet(harness, mode, code, "invalid_request")
        outcome.raises(UnsupportedRequestError, InvalidRequestError, *_list_other_errors(code))

    @in_each_mode
    @pytest.mark.parametrize("code", [400, 413, 422])
    @pytest.mark.parametrize("body", [b"", b"<html>Bad Request</html>", b"{}"], ids=["empty", "html", "object"])
    def test_an_unexplained_refusal_is_unsupported(
        self, harness: ProviderHarness, mode: Mode, code: int, body: bytes
    ) -> None:
        """A request rejected without a reason is unsupported by this target: another one may accept it."""
        harness.server.script(Status(code, "invalid_request", body=body))
        harness.attempt(mode).raises(UnsupportedRequestError, *_list_other_errors(code))

    @in_each_mode
    def test_401_is_an_authentication_error(self, harness: ProviderHarness, mode: Mode) -> None:
        """A rejected key is an `AuthenticationError`."""
        self._meet(harness, mode, 401, "auth").raises(AuthenticationError)

    @in_each_mode
    def test_402_is_quota_exhausted(self, harness: ProviderHarness, mode: Mode) -> None:
        """Used-up credit is a `QuotaExhaustedError`."""
        self._meet(harness, mode, 402, "quota").raises(QuotaExhaustedError)

    @in_each_mode
    def test_403_is_an_authentication_error(self, harness: ProviderHarness, mode: Mode) -> None:
        """A key without permission is an `AuthenticationError`."""
        self._meet(harness, mode, 403, "auth").raises(AuthenticationError)

    @in_each_mode
    def test_404_is_model_not_found(self, harness: ProviderHarness, mode: Mode) -> None:
        """An unknown model is a `ModelNotFoundError`."""
        self._meet(harness, mode, 404, "model_not_found").raises(ModelNotFoundError)

    @in_each_mode
    def test_429_is_rate_limited(self, harness: ProviderHarness, mode: Mode) -> None:
        """Too many requests are a `RateLimitedError`."""
        self._meet(harness, mode, 429, "rate_limit").raises(RateLimitedError)

    @in_each_mode
    def test_429_for_spent_credit_is_quota_exhausted(self, harness: ProviderHarness, mode: Mode) -> None:
        """Used-up credit is a `QuotaExhaustedError` also when the service reports it with 429, as many do."""
        self._meet(harness, mode, 429, "quota").raises(QuotaExhaustedError)

    @in_each_mode
    @pytest.mark.parametrize("code", [500, 502, 503, 504])
    def test_5xx_is_unavailable(self, harness: ProviderHarness, mode: Mode, code: int) -> None:
        """A server error is a `ProviderUnavailableError`."""
        self._meet(harness, mode, code, "unavailable").raises(ProviderUnavailableError)

    @in_each_mode
    def test_a_long_prompt_is_context_length_exceeded(self, harness: ProviderHarness, mode: Mode) -> None:
        """A prompt that is too long is a `ContextLengthExceededError`."""
        self._meet(harness, mode, 400, "context_length").raises(ContextLengthExceededError)

    @in_each_mode
    def test_filtered_content_is_content_filtered(self, harness: ProviderHarness, mode: Mode) -> None:
        """A request rejected for its content is a `ContentFilteredError`."""
        self._meet(harness, mode, 400, "content_filter").raises(ContentFilteredError)

    @in_each_mode
    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
    def test_an_error_with_any_body_is_typed(self, harness: ProviderHarness, mode: Mode, body: bytes) -> None:
        """Status 502 is a `ProviderUnavailableError` whatever its body is, such as a proxy's error page."""
        harness.server.script(Status(502, "unavailable", body=body))
        harness.attempt(mode).raises(ProviderUnavailableError)

    @in_each_mode
    def test_an_unknown_status_is_typed(self, harness: ProviderHarness, mode: Mode) -> None:
        """An unknown status is a `ProviderError` too."""
        harness.server.script(Status(418, "unavailable"))
        harness.attempt(mode).raises(ProviderError)

    def _meet(self, harness: ProviderHarness, mode: Mode, code: int, kind: str) -> CallOutcome:
        if kind in self.never_says:
            pytest.skip(f"not applicable: never_says contains {kind}")
        return harness.attempt(mode, Status(code, kind))


def _list_other_errors(code: int) -> tuple[type[ContextLengthExceededError], ...]:
    """Return what else a status may mean: some services answer a prompt with too many tokens with 413."""
    return (ContextLengthExceededError,) if code == 413 else ()


def _list_unsaid(never_says: Collection[str]) -> set[str]:
    """Return the statuses of kinds of error that the service does not have."""
    statuses = {
        "auth": ("401", "403"),
        "quota": ("402",),
        "model_not_found": ("404",),
        "rate_limit": ("429",),
    }
    return {code for kind in never_says for code in statuses.get(kind, ())}
