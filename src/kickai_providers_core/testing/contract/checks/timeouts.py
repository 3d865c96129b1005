"""Timeouts. The calls go through the core, which enforces the timeouts that a plugin need not enforce."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.helpers.constants import GRACE_S, PROMPT_S, STREAMS
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode, in_each_stream
from kickai_providers_core.testing.contract.helpers.requirements import require_stream
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import (
    Delay,
    Drip,
    RedirectLoop,
    Silence,
    SlowFirstToken,
    SlowHeaders,
    Stall,
    blackhole,
)
from kickai_providers_core.values.errors import ProviderError, ProviderTimeoutError

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.testing.contract.helpers.outcome import CallOutcome
    from kickai_providers_core.testing.faults import Fault

__all__ = ["TimeoutTests"]


class TimeoutTests(ProviderSpec):
    """An attempt ends within its timeout and the slack."""

    @in_each_mode
    def test_silence_times_out(self, harness: ProviderHarness, mode: Mode) -> None:
        """A call to a service that never responds ends in time."""
        _with_short_timeout(harness, mode, Silence()).raises(ProviderTimeoutError)

    @in_each_mode
    def test_a_late_answer_times_out(self, harness: ProviderHarness, mode: Mode) -> None:
        """A call does not wait for an answer that comes after the timeout."""
        _with_short_timeout(harness, mode, Delay(self.patience_s + 2 * self.slack_s)).raises(ProviderTimeoutError)

    @in_each_mode
    def test_slow_headers_time_out(self, harness: ProviderHarness, mode: Mode) -> None:
        """The timeout does not start again with each byte of the head."""
        _with_short_timeout(harness, mode, SlowHeaders(self.patience_s / 5)).raises(ProviderTimeoutError)

    @in_each_mode
    def test_a_dripping_body_times_out(self, harness: ProviderHarness, mode: Mode) -> None:
        """The timeout does not start again with each byte of the body."""
        _with_short_timeout(harness, mode, Drip(self.patience_s / 5)).raises(ProviderTimeoutError)

    @in_each_mode
    def test_connecting_times_out(self, harness: ProviderHarness, mode: Mode) -> None:
        """A call ends in time when connecting hangs."""
        limit_s = self.patience_s + self.slack_s
        with blackhole() as port:
            url = f"http://127.0.0.1:{port}"
            outcome = harness.attempt_at(mode, url, timeout_s=self.patience_s, limit_s=limit_s, as_core=True)
        outcome.within(limit_s).raises(ProviderTimeoutError)

    @in_each_mode
    def test_connecting_has_its_own_timeout(self, harness: ProviderHarness, mode: Mode) -> None:
        """When connecting hangs, a call ends after ``connect_timeout_s``, long before its whole timeout."""
        if not harness.info.holds_timeouts:
            pytest.skip("not applicable: the plugin leaves timeouts to the core, which sees no connections")
        limit_s = self.patience_s + self.slack_s
        with blackhole() as port:
            url = f"http://127.0.0.1:{port}"
            outcome = harness.attempt_at(mode, url, limit_s=limit_s, as_core=True, connect_timeout_s=self.patience_s)
        _check_phase(outcome.within(limit_s).raises(ProviderTimeoutError), "connect")

    @in_each_mode
    def test_redirects_end_in_time(self, harness: ProviderHarness, mode: Mode) -> None:
        """A call ends in time when redirects do not end, whether it follows them or not."""
        _with_short_timeout(harness, mode, RedirectLoop()).raises(ProviderError)

    @in_each_mode
    def test_a_call_waits_for_its_timeout(self, harness: ProviderHarness, mode: Mode) -> None:
        """A call waits for an answer that comes within the timeout, however short other timeouts are."""
        shorter = ["connect_timeout_s", "idle_timeout_s"]
        if mode not in STREAMS:
            shorter.append("first_token_timeout_s")
        for patience_s in (self.patience_s, 3 * self.patience_s):  # connecting may take long on a busy machine
            delay_s = 3 * patience_s
            changes: dict[str, Any] = dict.fromkeys(shorter, 2 * patience_s)
            outcome = harness.attempt(mode, Delay(delay_s), timeout_s=PROMPT_S, as_core=True, **changes)
            if outcome.raised is None:
                break
        assert outcome.raised is None, (
            f"{mode}: the answer came after {delay_s:g} s, within the timeout of {PROMPT_S:g} s, but the call failed: "
            f"{outcome.raised!r}; {' and '.join(shorter)} of {2 * patience_s:g} s do not apply to that wait"
        )
        assert outcome.text, "the answer is empty"
        assert outcome.elapsed_s >= delay_s * 0.9, "the reply arrived before the service had answered"

    @in_each_mode
    def test_the_next_call_works_after_a_timeout(self, harness: ProviderHarness, mode: Mode) -> None:
        """The next call of the same provider works after a timeout."""
        server = harness.server
        _with_short_timeout(harness, mode, Silence()).raises(ProviderTimeoutError)
        assert server.requests, "the provider sent no request"
        text = harness.attempt(mode, as_core=True).within(GRACE_S).text
        assert text == "pong", f"expected 'pong' from the call after the timeout, got {text!r}"

    @in_each_stream
    def test_a_slow_first_token_times_out(self, harness: ProviderHarness, mode: Mode) -> None:
        """A stream ends after ``first_token_timeout_s`` when its first piece does not come."""
        require_stream(harness, mode)
        _check_phase(_expire(harness, mode, SlowFirstToken(PROMPT_S), "first_token_timeout_s"), "first_token")

    @in_each_stream
    def test_a_stall_times_out(self, harness: ProviderHarness, mode: Mode) -> None:
        """A stream ends after ``idle_timeout_s`` when its next piece does not come."""
        require_stream(harness, mode)
        _check_phase(_expire(harness, mode, Stall(1), "idle_timeout_s"), "idle")

    @in_each_stream
    def test_a_stall_ends_with_the_whole_timeout(self, harness: ProviderHarness, mode: Mode) -> None:
        """A stream whose next piece does not come ends with the attempt's timeout, if that expires first."""
        require_stream(harness, mode)
        _with_short_timeout(harness, mode, Stall(1)).raises(ProviderTimeoutError)


def _with_short_timeout(harness: ProviderHarness, mode: Mode, fault: Fault) -> CallOutcome:
    """Return how a call with a short timeout ends."""
    patience_s = harness.spec.patience_s
    limit_s = patience_s + harness.spec.slack_s
    outcome = harness.attempt(mode, fault, timeout_s=patience_s, limit_s=limit_s, as_core=True)
    return outcome.within(limit_s)


def _expire(harness: ProviderHarness, mode: Mode, fault: Fault, timeout: str) -> ProviderTimeoutError:
    """Return the error of a stream with a short timeout for one phase and a long one for the whole."""
    changes: dict[str, Any] = {timeout: harness.spec.patience_s}
    limit_s = harness.spec.patience_s + harness.spec.slack_s
    outcome = harness.attempt(mode, fault, limit_s=limit_s, as_core=True, **changes)
    return outcome.within(limit_s).raises(ProviderTimeoutError)


def _check_phase(error: ProviderTimeoutError, phase: str) -> None:
    assert error.phase == phase, f"expected phase={phase!r}, got {error.phase!r}: {error}"
