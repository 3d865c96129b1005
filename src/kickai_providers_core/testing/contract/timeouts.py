"""Timeouts that hold, whatever the service does. Calls go through the core, which holds what a plugin need not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.givens import GRACE_S, MODES, PROMPT_S, STREAMS
from kickai_providers_core.testing.contract.needs import need_stream
from kickai_providers_core.testing.contract.supplied import Supplied
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
    from kickai_providers_core.testing.contract.outcome import Outcome
    from kickai_providers_core.testing.contract.subject import Subject
    from kickai_providers_core.testing.faults import Fault

__all__ = ["Timeouts"]

in_each_mode = pytest.mark.parametrize("mode", MODES)
in_each_stream = pytest.mark.parametrize("mode", STREAMS)


class Timeouts(Supplied):
    """An attempt ends within its timeout and a little slack."""

    @in_each_mode
    def test_silence_times_out(self, subject: Subject, mode: Mode) -> None:
        """A service that never answers is left in time."""
        _hasty(subject, mode, Silence()).raises(ProviderTimeoutError)

    @in_each_mode
    def test_a_late_answer_times_out(self, subject: Subject, mode: Mode) -> None:
        """An answer that comes after the timeout is not waited for."""
        _hasty(subject, mode, Delay(self.patience_s + 2 * self.slack_s)).raises(ProviderTimeoutError)

    @in_each_mode
    def test_slow_headers_time_out(self, subject: Subject, mode: Mode) -> None:
        """A head that comes byte by byte does not renew the timeout."""
        _hasty(subject, mode, SlowHeaders(self.patience_s / 5)).raises(ProviderTimeoutError)

    @in_each_mode
    def test_a_dripping_body_times_out(self, subject: Subject, mode: Mode) -> None:
        """A body that comes byte by byte does not renew the timeout."""
        _hasty(subject, mode, Drip(self.patience_s / 5)).raises(ProviderTimeoutError)

    @in_each_mode
    def test_connecting_times_out(self, subject: Subject, mode: Mode) -> None:
        """A host that does not answer is left in time."""
        limit_s = self.patience_s + self.slack_s
        with blackhole() as port:
            url = f"http://127.0.0.1:{port}"
            outcome = subject.attempt_at(mode, url, timeout_s=self.patience_s, limit_s=limit_s, as_core=True)
        outcome.within(limit_s).raises(ProviderTimeoutError)

    @in_each_mode
    def test_the_time_to_connect_has_a_timeout_of_its_own(self, subject: Subject, mode: Mode) -> None:
        """A host that does not answer is left when the time to connect is over, long before the whole is."""
        if not subject.info.holds_timeouts:
            pytest.skip("not applicable: the plugin leaves timeouts to the core, which sees no connections")
        limit_s = self.patience_s + self.slack_s
        with blackhole() as port:
            url = f"http://127.0.0.1:{port}"
            outcome = subject.attempt_at(mode, url, limit_s=limit_s, as_core=True, connect_timeout_s=self.patience_s)
        assert outcome.within(limit_s).raises(ProviderTimeoutError).phase == "connect"

    @in_each_mode
    def test_redirects_end_in_time(self, subject: Subject, mode: Mode) -> None:
        """Redirects without end are left in time, whether they are followed or not."""
        _hasty(subject, mode, RedirectLoop()).raises(ProviderError)

    @in_each_mode
    def test_patience_is_respected(self, subject: Subject, mode: Mode) -> None:
        """An answer that comes within the timeout is waited for, however short other timeouts would be."""
        outcome = subject.attempt(mode, Delay(self.patience_s), timeout_s=PROMPT_S, as_core=True)
        assert outcome.text
        assert outcome.elapsed_s >= self.patience_s * 0.9

    @in_each_mode
    def test_the_next_call_works_after_a_timeout(self, subject: Subject, mode: Mode) -> None:
        """A call that was left takes nothing from the next one."""
        server = subject.server
        _hasty(subject, mode, Silence()).raises(ProviderTimeoutError)
        assert server.requests, "no request was made"
        assert subject.attempt(mode, as_core=True).within(GRACE_S).text == "pong"

    @in_each_stream
    def test_a_slow_first_token_times_out(self, subject: Subject, mode: Mode) -> None:
        """A stream whose first piece does not come has a timeout of its own."""
        need_stream(subject, mode)
        error = _within(subject, mode, SlowFirstToken(PROMPT_S), "first_token_timeout_s")
        assert error.phase == "first_token"

    @in_each_stream
    def test_a_stall_times_out(self, subject: Subject, mode: Mode) -> None:
        """A stream that falls silent half-way has a timeout of its own, and keeps what came before."""
        need_stream(subject, mode)
        error = _within(subject, mode, Stall(1), "idle_timeout_s")
        assert error.phase == "idle"

    @in_each_stream
    def test_a_stall_ends_with_the_whole_timeout(self, subject: Subject, mode: Mode) -> None:
        """A stream that falls silent ends with the attempt's timeout, when that is over first."""
        need_stream(subject, mode)
        _hasty(subject, mode, Stall(1)).raises(ProviderTimeoutError)


def _hasty(subject: Subject, mode: Mode, fault: Fault) -> Outcome:
    """Return how a call ends that has little time for the whole."""
    patience_s = subject.supplied.patience_s
    limit_s = patience_s + subject.supplied.slack_s
    outcome = subject.attempt(mode, fault, timeout_s=patience_s, limit_s=limit_s, as_core=True)
    return outcome.within(limit_s)


def _within(subject: Subject, mode: Mode, fault: Fault, timeout: str) -> ProviderTimeoutError:
    """Return the error of a stream that has much time for the whole, and little for one of its phases."""
    changes: dict[str, Any] = {timeout: subject.supplied.patience_s}
    limit_s = subject.supplied.patience_s + subject.supplied.slack_s
    outcome = subject.attempt(mode, fault, limit_s=limit_s, as_core=True, **changes)
    return outcome.within(limit_s).raises(ProviderTimeoutError)
