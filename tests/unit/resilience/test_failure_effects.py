"""Errors that a reply keeps: copies without frames."""

from __future__ import annotations

from typing import Self

from kickai_providers_core.resilience.failure_effects import strip_frames
from kickai_providers_core.values.attempts import Attempt, Outcome
from kickai_providers_core.values.errors import ProviderUnavailableError


class VendorError(Exception):
    """An error that cannot be created without its code."""

    def __new__(cls, code: int) -> Self:
        """Create the error, which needs a code."""
        return super().__new__(cls, code)


def test_a_cause_that_needs_arguments_is_copied_with_them() -> None:
    """The copy has the class, the arguments and the attributes of the vendor's error."""
    cause = VendorError(42)
    cause.request_id = "r-1"
    error = ProviderUnavailableError("down")
    error.__cause__ = cause
    attempt = Attempt(
        position=0,
        provider="a",
        model="m",
        number=1,
        started_s=0.0,
        latency_s=1.0,
        outcome=Outcome.ERROR,
        error=error,
    )
    copy = strip_frames(attempt).error.__cause__
    assert copy is not cause
    assert (type(copy), copy.args, copy.request_id) == (VendorError, (42,), "r-1")
