"""Error statuses of the service: each must become the error class that decides what happens next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import Status
from kickai_providers_core.values.errors import (
    AuthenticationError,
    ContentFilteredError,
    ContextLengthExceededError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    UnsupportedRequestError,
)

if TYPE_CHECKING:
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


class ErrorClassTests(ProviderSpec):
    """Each error status becomes the right error class."""

    @in_each_mode
    @pytest.mark.parametrize("code", [400, 413, 422])
    def test_a_refused_request_is_unsupported_or_invalid(self, harness: ProviderHarness, mode: Mode, code: int) -> None:
        """A rejected request is unsupported by this target, or invalid for all when the service makes that certain."""
        outcome = self._meet(harness, mode, code, "invalid_request")
        outcome.raises(UnsupportedRequestError, InvalidRequestError, *_too_large(code))

    @in_each_mode
    @pytest.mark.parametrize("code", [400, 413, 422])
    @pytest.mark.parametrize("body", [b"", b"<html>Bad Request</html>", b"{}"], ids=["empty", "html", "object"])
    def test_an_unexplained_refusal_is_unsupported(
        self, harness: ProviderHarness, mode: Mode, code: int, body: bytes
    ) -> None:
        """A request rejected without a reason is unsupported by this target: another one may accept it."""
        harness.server.script(Status(code, "invalid_request", body=body))
        harness.attempt(mode).raises(UnsupportedRequestError, *_too_large(code))

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


def _too_large(code: int) -> tuple[type[ContextLengthExceededError], ...]:
    """Return what else a status may mean: some services answer a prompt with too many tokens with 413."""
    return (ContextLengthExceededError,) if code == 413 else ()
