"""Mutants that raise wrong errors."""

from __future__ import annotations

import json
import threading
from typing import ClassVar

from kestrel import mapping
from kestrel.client import Client
from kestrel.mutants.registry import mutant
from kickai_providers_core.values import errors


class WrongErrorClass(Client):
    """Raises another error class for a status."""

    taken: ClassVar = {}

    def build_error(self, status, headers, body):
        """Return another class."""
        error = super().build_error(status, headers, body)
        kind = self.taken.get(type(error))
        return kind("no", status_code=status, retry_after_s=error.retry_after_s) if kind else error


@mutant("test_429_is_rate_limited")
class ReadsRateLimitAsOutage(WrongErrorClass):
    """Reads 429 as an outage."""

    taken: ClassVar = {errors.RateLimitedError: errors.ProviderUnavailableError}


@mutant("test_401_is_an_authentication_error", "test_403_is_an_authentication_error")
class ReadsAuthenticationAsOutage(WrongErrorClass):
    """Reads 401 and 403 as an outage."""

    taken: ClassVar = {errors.AuthenticationError: errors.ProviderUnavailableError}


@mutant("test_404_is_model_not_found")
class ReadsUnknownModelAsInvalidRequest(WrongErrorClass):
    """Reads 404 as an invalid request."""

    taken: ClassVar = {errors.ModelNotFoundError: errors.InvalidRequestError}


@mutant("test_402_is_quota_exhausted")
class ReadsQuotaAsRateLimit(WrongErrorClass):
    """Reads 402 as a rate limit."""

    taken: ClassVar = {errors.QuotaExhaustedError: errors.RateLimitedError}


@mutant("test_a_refused_request_is_unsupported_or_invalid", "test_an_unexplained_refusal_is_unsupported")
class ReadsUnsupportedAsOutage(WrongErrorClass):
    """Reads 400 as an outage."""

    taken: ClassVar = {errors.UnsupportedRequestError: errors.ProviderUnavailableError}


@mutant("test_an_unexplained_refusal_is_unsupported")
class ReadsUnsupportedAsInvalidRequest(WrongErrorClass):
    """Reads a rejection without a reason as a request that is invalid for everyone."""

    taken: ClassVar = {errors.UnsupportedRequestError: errors.InvalidRequestError}


@mutant("test_a_long_prompt_is_context_length_exceeded")
class ReadsLongPromptAsInvalidRequest(WrongErrorClass):
    """Reads a prompt that is too long as any invalid request."""

    taken: ClassVar = {errors.ContextLengthExceededError: errors.InvalidRequestError}


@mutant("test_filtered_content_is_content_filtered")
class ReadsContentFilterAsOutage(WrongErrorClass):
    """Reads filtered content as an outage, so that another provider would be called."""

    taken: ClassVar = {errors.ContentFilteredError: errors.ProviderUnavailableError}


@mutant(
    "test_an_error_with_any_body_is_typed",
    "test_a_redirect_loop_is_typed",
    "test_an_unexplained_refusal_is_unsupported",
)
class FailsOnErrorBodies(Client):
    """Raises ValueError when the body of an error is not JSON."""

    def build_error(self, status, headers, body):
        """Parse the body."""
        json.loads(body)
        return super().build_error(status, headers, body)


@mutant("test_a_retry_after_date_is_kept")
class DropsRetryAfterDates(Client):
    """Ignores a Retry-After that is a date."""

    def build_error(self, status, headers, body):
        """Accept numbers only."""
        delay = headers.get("retry-after", "")
        return super().build_error(status, headers if delay.isdecimal() else {}, body)


@mutant("test_retry_after_seconds_are_kept")
class DropsRetryAfterOfOutages(Client):
    """Ignores the Retry-After of a 503."""

    def build_error(self, status, headers, body):
        """Read it for 429 only."""
        return super().build_error(status, headers if status == 429 else {}, body)


@mutant("test_errors_pickle")
class UnpicklableError(Client):
    """Adds a lock to its errors."""

    def build_error(self, status, headers, body):
        """Return an error that cannot be pickled."""
        error = super().build_error(status, headers, body)
        error.lock = threading.Lock()
        return error


@mutant("test_errors_keep_the_status")
class DropsTheStatus(Client):
    """Leaves status_code empty."""

    def build_error(self, status, headers, body):
        """Remove the status."""
        error = super().build_error(status, headers, body)
        error.status_code = None
        return error


@mutant("test_errors_leave_the_name_to_the_core")
class NamesTheProvider(Client):
    """Fills in the name of the instance, which it cannot know."""

    def build_error(self, status, headers, body):
        """Fill in the name."""
        error = super().build_error(status, headers, body)
        error.provider = "kestrel"
        return error


@mutant("test_errors_have_a_message", "test_validating_online_ends_in_problems")
class HasEmptyMessages(Client):
    """Raises errors without a message."""

    def build_error(self, status, headers, body):
        """Remove the message."""
        error = super().build_error(status, headers, body)
        error.message = ""
        return error


@mutant("test_an_unknown_status_is_typed")
class FailsOnUnknownStatus(Client):
    """Raises KeyError for a status that is not in its table."""

    def build_error(self, status, headers, body):
        """Look up the status."""
        if 400 <= status < 500:
            mapping.STATUSES[status]
        return super().build_error(status, headers, body)


@mutant("test_5xx_is_unavailable")
class ReadsGatewayTimeoutAsInvalidRequest(Client):
    """Reads 504 as an invalid request, which ends the chain."""

    def build_error(self, status, headers, body):
        """Return the wrong class for 504."""
        if status == 504:
            return errors.InvalidRequestError("no", status_code=status)
        return super().build_error(status, headers, body)


@mutant("test_an_unreadable_retry_after_is_ignored")
class FailsOnUnreadableDelay(Client):
    """Raises ValueError for a Retry-After that is neither a number nor a date."""

    def build_error(self, status, headers, body):
        """Convert it to a number."""
        delay = headers.get("retry-after", "0")
        if "GMT" not in delay:
            float(delay)
        return super().build_error(status, headers, body)
