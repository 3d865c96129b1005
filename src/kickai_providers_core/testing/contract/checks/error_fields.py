"""The fields of errors: status, delay, message, whether the service was reached, and what the core fills in."""

from __future__ import annotations

import pickle
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.testing.contract.helpers.parameters import format_id, in_each_mode
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import CloseEarly, Malformed, Reset, ShortBody, Status, WrongShape
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.testing.faults import Fault

__all__ = ["ErrorFieldTests"]


class ErrorFieldTests(ProviderSpec):
    """What an error holds in addition to its class."""

    @in_each_mode
    def test_errors_keep_the_status(self, harness: ProviderHarness, mode: Mode) -> None:
        """The error has the HTTP status."""
        harness.server.script(Status(503, "unavailable"))
        code = harness.attempt(mode).raises(ProviderError).status_code
        assert code == 503, f"expected status_code=503, got {code}"

    @in_each_mode
    @pytest.mark.parametrize("code", [429, 503])
    def test_retry_after_seconds_are_kept(self, harness: ProviderHarness, mode: Mode, code: int) -> None:
        """The error has the delay that the service states in seconds (RFC 9110, 10.2.3)."""
        kind = "rate_limit" if code == 429 else "unavailable"
        harness.server.script(Status(code, kind, {"retry-after": "7"}))
        delay_s = harness.attempt(mode).raises(ProviderError).retry_after_s
        assert delay_s == pytest.approx(7.0), f"expected retry_after_s=7.0 from `retry-after: 7`, got {delay_s}"

    @in_each_mode
    def test_a_retry_after_date_is_kept(self, harness: ProviderHarness, mode: Mode) -> None:
        """The error has the time that the service states as a date, as seconds from now (RFC 9110, 10.2.3)."""
        when = formatdate(time.time() + 60, usegmt=True)
        harness.server.script(Status(429, "rate_limit", {"retry-after": when}))
        delay_s = harness.attempt(mode).raises(ProviderError).retry_after_s
        assert delay_s is not None, "retry_after_s is None: read dates in `retry-after` too"
        assert 45 < delay_s <= 61, f"expected retry_after_s of about 60 from a date, got {delay_s}"

    @pytest.mark.parametrize("value", ["soon", "", "-5", "nan", "Tue, 99 Foo 2026"])
    def test_an_unreadable_retry_after_is_ignored(self, harness: ProviderHarness, value: str) -> None:
        """An unreadable delay is ignored."""
        harness.server.script(Status(429, "rate_limit", {"retry-after": value}))
        delay_s = harness.attempt("invoke").raises(ProviderError).retry_after_s
        assert delay_s is None or delay_s >= 0, f"expected no delay from `retry-after: {value}`, got {delay_s}"

    @in_each_mode
    def test_errors_pickle(self, harness: ProviderHarness, mode: Mode) -> None:
        """The error can be pickled with all its fields."""
        error = harness.attempt(mode, Status(429, "rate_limit")).raises(ProviderError)
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert type(again) is type(error), f"pickling made {type(again).__name__} of {type(error).__name__}"
        assert (str(again), vars(again)) == (str(error), vars(error)), "pickling changed the error"

    @in_each_mode
    def test_errors_leave_the_name_to_the_core(self, harness: ProviderHarness, mode: Mode) -> None:
        """The error does not name the provider: only the core knows the instance's name."""
        name = harness.attempt(mode, Status(503, "unavailable")).raises(ProviderError).provider
        assert name == "", f"the error's provider is set to {name!r}: leave it to the core"

    @in_each_mode
    def test_errors_have_a_message(self, harness: ProviderHarness, mode: Mode) -> None:
        """The error has a message."""
        message = harness.attempt(mode, Status(503, "unavailable")).raises(ProviderError).message
        assert message.strip(), "the error's message is empty: say what happened"

    @in_each_mode
    @pytest.mark.parametrize(
        "fault", [Reset(), CloseEarly(10_000), ShortBody(), Malformed(), WrongShape()], ids=format_id
    )
    def test_a_service_that_was_reached_is_reported_as_such(
        self, harness: ProviderHarness, mode: Mode, fault: Fault
    ) -> None:
        """The error of a connection that was made and lost has ``reached=True``."""
        harness.server  # skips the test without a wire  # noqa: B018
        error = harness.attempt(mode, fault).raises(ProviderError)
        reached = getattr(error, "reached", True)
        assert reached, (
            f"expected reached=True, since the service was connected ({format_id(fault)}), got False: {error}"
        )
