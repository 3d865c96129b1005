"""Errors that a reply keeps: copies without frames."""

from __future__ import annotations

from typing import Self

from kickai_providers_core.resilience.failure_attribution import strip_frames
from kickai_providers_core.values.attempts import Attempt, Outcome
from kickai_providers_core.values.errors import ProviderUnavailableError


class VendorError(Exception):
    """An error that cannot be created without its code."""

    def __new__(cls, code: int) -> Self:
        """Create the error, which needs a code."""
        return super().__new__(cls, code)


def build_attempt(error: ProviderUnavailableError) -> Attempt:
    """Return an attempt that ended with an error."""
    return Attempt(
        position=0,
        provider="a",
        model="m",
        number=1,
        started_s=0.0,
        latency_s=1.0,
        outcome=Outcome.ERROR,
        error=error,
    )


def test_a_cause_that_needs_arguments_is_copied_with_them() -> None:
    """The copy has the class, the arguments and the attributes of the vendor's error."""
    cause = VendorError(42)
    cause.request_id = "r-1"
    error = ProviderUnavailableError("down")
    error.__cause__ = cause
    copy = strip_frames(build_attempt(error)).error.__cause__
    assert copy is not cause
    assert (type(copy), copy.args, copy.request_id) == (VendorError, (42,), "r-1")


def test_an_error_without_a_cause_keeps_what_it_replaced() -> None:
    """The error that was being handled is copied too, without its frames."""
    try:
        try:
            raise VendorError(42)
        except VendorError:
            raise ProviderUnavailableError("down")  # noqa: B904  without a cause
    except ProviderUnavailableError as caught:
        error = caught
    replaced = error.__context__
    copy = strip_frames(build_attempt(error)).error.__context__
    assert copy is not replaced
    assert (type(copy), copy.args, copy.__traceback__) == (VendorError, (42,), None)
