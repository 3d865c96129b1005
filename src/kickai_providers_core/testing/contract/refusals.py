"""Errors that the service states: each status becomes the class that says what happens next."""

from __future__ import annotations

import pickle
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.testing.contract.givens import MODES
from kickai_providers_core.testing.contract.supplied import Supplied
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
    from kickai_providers_core.testing.contract.outcome import Outcome
    from kickai_providers_core.testing.contract.subject import Subject

__all__ = ["Refusals"]

BODIES = {
    "empty": b"",
    "html": b"<html>502 Bad Gateway</html>",
    "list": b"[]",
    "text": b'"down"',
    "null": b"null",
    "half": b'{"error": ',
    "strange": b'{"error": {"message": 7, "code": [], "type": null}, "message": {}, "detail": [1]}',
}
"""What proxies and broken services send with a status of 502."""

in_each_mode = pytest.mark.parametrize("mode", MODES)


class Refusals(Supplied):
    """A refusal is told as the error that it is."""

    @in_each_mode
    @pytest.mark.parametrize("code", [400, 413, 422])
    def test_a_refused_request_is_unsupported_or_invalid(self, subject: Subject, mode: Mode, code: int) -> None:
        """A refused request is unsupported here, or invalid everywhere when the service's words make that certain."""
        outcome = self._refused(subject, mode, code, "invalid_request")
        outcome.raises(UnsupportedRequestError, InvalidRequestError, *_too_large(code))

    @in_each_mode
    @pytest.mark.parametrize("code", [400, 413, 422])
    @pytest.mark.parametrize("body", [b"", b"<html>Bad Request</html>", b"{}"], ids=["empty", "html", "object"])
    def test_an_unexplained_refusal_is_unsupported(self, subject: Subject, mode: Mode, code: int, body: bytes) -> None:
        """A refusal without a reason is this target's: nobody can know that another would refuse the request too."""
        subject.server.script(Status(code, "invalid_request", body=body))
        subject.attempt(mode).raises(UnsupportedRequestError, *_too_large(code))

    @in_each_mode
    def test_401_is_an_authentication_error(self, subject: Subject, mode: Mode) -> None:
        """A key that is not accepted is told as such."""
        self._refused(subject, mode, 401, "auth").raises(AuthenticationError)

    @in_each_mode
    def test_402_is_quota_exhausted(self, subject: Subject, mode: Mode) -> None:
        """Credit that is spent is told as such."""
        self._refused(subject, mode, 402, "quota").raises(QuotaExhaustedError)

    @in_each_mode
    def test_403_is_an_authentication_error(self, subject: Subject, mode: Mode) -> None:
        """A key that may not do this is told like one that is not accepted."""
        self._refused(subject, mode, 403, "auth").raises(AuthenticationError)

    @in_each_mode
    def test_404_is_model_not_found(self, subject: Subject, mode: Mode) -> None:
        """A model that is not served is told as such."""
        self._refused(subject, mode, 404, "model_not_found").raises(ModelNotFoundError)

    @in_each_mode
    def test_429_is_rate_limited(self, subject: Subject, mode: Mode) -> None:
        """Too many requests rest the target, and nothing worse."""
        self._refused(subject, mode, 429, "rate_limit").raises(RateLimitedError)

    @in_each_mode
    @pytest.mark.parametrize("code", [500, 502, 503, 504])
    def test_5xx_is_unavailable(self, subject: Subject, mode: Mode, code: int) -> None:
        """A service that is down is told as such."""
        self._refused(subject, mode, code, "unavailable").raises(ProviderUnavailableError)

    @in_each_mode
    def test_a_long_prompt_is_context_length_exceeded(self, subject: Subject, mode: Mode) -> None:
        """A prompt that does not fit is told apart from other requests that are refused."""
        self._refused(subject, mode, 400, "context_length").raises(ContextLengthExceededError)

    @in_each_mode
    def test_a_withheld_answer_is_content_filtered(self, subject: Subject, mode: Mode) -> None:
        """A refusal on the content's grounds is told apart from other requests that are refused."""
        self._refused(subject, mode, 400, "content_filter").raises(ContentFilteredError)

    @in_each_mode
    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
    def test_an_error_without_the_vendors_body_is_typed(self, subject: Subject, mode: Mode, body: bytes) -> None:
        """A proxy's error page, and any other body, is no reason for another exception."""
        fault = Status(502, "unavailable", body=body)
        subject.server.script(fault)
        subject.attempt(mode).raises(ProviderUnavailableError)

    @in_each_mode
    def test_an_unheard_of_status_is_typed(self, subject: Subject, mode: Mode) -> None:
        """A status that means nothing to anybody is a `ProviderError` too."""
        subject.server.script(Status(418, "unavailable"))
        subject.attempt(mode).raises(ProviderError)

    def _refused(self, subject: Subject, mode: Mode, code: int, kind: str) -> Outcome:
        if kind in self.never_says:
            pytest.skip(f"not applicable: the service has no words for {kind}")
        return subject.attempt(mode, Status(code, kind))


def _too_large(code: int) -> tuple[type[ContextLengthExceededError], ...]:
    """Return what else a status may mean: some services answer 413 to a prompt with too many tokens."""
    return (ContextLengthExceededError,) if code == 413 else ()


class Particulars(Supplied):
    """What an error holds beside its class."""

    @in_each_mode
    def test_errors_keep_the_status(self, subject: Subject, mode: Mode) -> None:
        """The HTTP status stands in the error."""
        subject.server.script(Status(503, "unavailable"))
        assert subject.attempt(mode).raises(ProviderError).status_code == 503

    @in_each_mode
    @pytest.mark.parametrize("code", [429, 503])
    def test_retry_after_seconds_are_kept(self, subject: Subject, mode: Mode, code: int) -> None:
        """The delay that the service states in seconds stands in the error (RFC 9110, 10.2.3)."""
        kind = "rate_limit" if code == 429 else "unavailable"
        subject.server.script(Status(code, kind, {"retry-after": "7"}))
        assert subject.attempt(mode).raises(ProviderError).retry_after_s == pytest.approx(7.0)

    @in_each_mode
    def test_a_retry_after_date_is_kept(self, subject: Subject, mode: Mode) -> None:
        """The time that the service states as a date stands in the error as seconds from now (RFC 9110, 10.2.3)."""
        when = formatdate(time.time() + 60, usegmt=True)
        subject.server.script(Status(429, "rate_limit", {"retry-after": when}))
        delay = subject.attempt(mode).raises(ProviderError).retry_after_s
        assert delay is not None, "the date was dropped"
        assert 45 < delay <= 61

    @pytest.mark.parametrize("value", ["soon", "", "-5", "nan", "Tue, 99 Foo 2026"])
    def test_a_retry_after_that_is_none_is_dropped(self, subject: Subject, value: str) -> None:
        """A delay that cannot be read is no delay, and no other exception."""
        subject.server.script(Status(429, "rate_limit", {"retry-after": value}))
        delay = subject.attempt("invoke").raises(ProviderError).retry_after_s
        assert delay is None or delay >= 0

    @in_each_mode
    def test_errors_pickle(self, subject: Subject, mode: Mode) -> None:
        """An error goes to another process with all its fields."""
        error = subject.attempt(mode, Status(429, "rate_limit")).raises(ProviderError)
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert type(again) is type(error)
        assert (str(again), vars(again)) == (str(error), vars(error))

    @in_each_mode
    def test_errors_leave_the_name_to_the_core(self, subject: Subject, mode: Mode) -> None:
        """The instance's name is the core's to fill in: a plugin does not know it."""
        assert subject.attempt(mode, Status(503, "unavailable")).raises(ProviderError).provider == ""

    @in_each_mode
    def test_errors_have_a_message(self, subject: Subject, mode: Mode) -> None:
        """An error says in words what happened."""
        assert subject.attempt(mode, Status(503, "unavailable")).raises(ProviderError).message.strip()
