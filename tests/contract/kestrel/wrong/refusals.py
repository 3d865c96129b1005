"""Errors that the service states, told as others."""

from __future__ import annotations

import json
import threading
from typing import ClassVar

from kestrel import mapping
from kestrel.client import Client
from kestrel.wrong.register import mutant
from kickai_providers_core.values import errors


class Refuses(Client):
    """Takes one status for another error."""

    taken: ClassVar = {}

    def refusal(self, status, headers, body):
        """Return the wrong class."""
        error = super().refusal(status, headers, body)
        kind = self.taken.get(type(error))
        return kind("no", status_code=status, retry_after_s=error.retry_after_s) if kind else error


@mutant("test_429_is_rate_limited")
class TakesLimitsForOutages(Refuses):
    """Takes 429 for an outage."""

    taken: ClassVar = {errors.RateLimitedError: errors.ProviderUnavailableError}


@mutant("test_401_is_an_authentication_error", "test_403_is_an_authentication_error")
class TakesKeysForOutages(Refuses):
    """Takes 401 and 403 for an outage."""

    taken: ClassVar = {errors.AuthenticationError: errors.ProviderUnavailableError}


@mutant("test_404_is_model_not_found")
class TakesModelsForRequests(Refuses):
    """Takes 404 for a wrong request."""

    taken: ClassVar = {errors.ModelNotFoundError: errors.InvalidRequestError}


@mutant("test_402_is_quota_exhausted")
class TakesCreditForLimits(Refuses):
    """Takes 402 for a rate limit."""

    taken: ClassVar = {errors.QuotaExhaustedError: errors.RateLimitedError}


@mutant("test_a_refused_request_is_unsupported_or_invalid", "test_an_unexplained_refusal_is_unsupported")
class TakesRequestsForOutages(Refuses):
    """Takes 400 for an outage."""

    taken: ClassVar = {errors.UnsupportedRequestError: errors.ProviderUnavailableError}


@mutant("test_an_unexplained_refusal_is_unsupported")
class EndsTheChainForOneTarget(Refuses):
    """Takes a refusal without a reason for a request that is invalid everywhere."""

    taken: ClassVar = {errors.UnsupportedRequestError: errors.InvalidRequestError}


@mutant("test_a_long_prompt_is_context_length_exceeded")
class TakesLengthForRequests(Refuses):
    """Takes a prompt that is too long for any wrong request."""

    taken: ClassVar = {errors.ContextLengthExceededError: errors.InvalidRequestError}


@mutant("test_a_withheld_answer_is_content_filtered")
class RoutesRoundRefusals(Refuses):
    """Takes a refusal for any outage, so that another provider would be asked."""

    taken: ClassVar = {errors.ContentFilteredError: errors.ProviderUnavailableError}


@mutant(
    "test_an_error_without_the_vendors_body_is_typed",
    "test_a_redirect_loop_is_typed",
    "test_an_unexplained_refusal_is_unsupported",
)
class ReadsEveryError(Client):
    """Lets a ValueError through when an error's body is no JSON."""

    def refusal(self, status, headers, body):
        """Parse first."""
        json.loads(body)
        return super().refusal(status, headers, body)


@mutant("test_a_retry_after_date_is_kept")
class ReadsSecondsOnly(Client):
    """Drops a Retry-After that is a date."""

    def refusal(self, status, headers, body):
        """Take numbers alone."""
        delay = headers.get("retry-after", "")
        return super().refusal(status, headers if delay.isdecimal() else {}, body)


@mutant("test_retry_after_seconds_are_kept")
class ForgetsTheDelayOfOutages(Client):
    """Drops the Retry-After of a 503."""

    def refusal(self, status, headers, body):
        """Look at it for 429 alone."""
        return super().refusal(status, headers if status == 429 else {}, body)


@mutant("test_errors_pickle")
class UnpicklableError(Client):
    """Hangs a lock on its errors."""

    def refusal(self, status, headers, body):
        """Return an error that cannot go to another process."""
        error = super().refusal(status, headers, body)
        error.lock = threading.Lock()
        return error


@mutant("test_errors_keep_the_status")
class ForgetsTheStatus(Client):
    """Does not say with which status it was refused."""

    def refusal(self, status, headers, body):
        """Leave the status out."""
        error = super().refusal(status, headers, body)
        error.status_code = None
        return error


@mutant("test_errors_leave_the_name_to_the_core")
class NamesItself(Client):
    """Names an instance, which it cannot know."""

    def refusal(self, status, headers, body):
        """Fill the name in."""
        error = super().refusal(status, headers, body)
        error.provider = "kestrel"
        return error


@mutant("test_errors_have_a_message", "test_validating_online_ends_in_problems")
class SaysNothing(Client):
    """Has no words for its errors."""

    def refusal(self, status, headers, body):
        """Be silent."""
        error = super().refusal(status, headers, body)
        error.message = ""
        return error


@mutant("test_an_unheard_of_status_is_typed")
class KnowsEveryStatus(Client):
    """Lets a KeyError through for a status that its table lacks."""

    def refusal(self, status, headers, body):
        """Look it up."""
        if 400 <= status < 500:
            mapping.STATUSES[status]
        return super().refusal(status, headers, body)


@mutant("test_5xx_is_unavailable")
class TakesAGatewayForTheRequest(Client):
    """Takes 504 for a wrong request, which ends the chain."""

    def refusal(self, status, headers, body):
        """Blame the request."""
        if status == 504:
            return errors.InvalidRequestError("no", status_code=status)
        return super().refusal(status, headers, body)


@mutant("test_a_retry_after_that_is_none_is_dropped")
class ReadsEveryDelay(Client):
    """Lets a ValueError through for a Retry-After that is neither a number nor a date."""

    def refusal(self, status, headers, body):
        """Read it as a number."""
        delay = headers.get("retry-after", "0")
        if "GMT" not in delay:
            float(delay)
        return super().refusal(status, headers, body)
