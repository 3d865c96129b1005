"""Mutants whose timeouts are too long or too short, and slow mutants."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

from kestrel.client import Client
from kestrel.mutants.registry import mutant
from kestrel.plugin import KestrelPlugin
from kickai_providers_core.plugin_api.hookspecs import hookimpl
from kickai_providers_core.values.errors import ProviderUnavailableError


@mutant("test_a_dripping_body_times_out", "test_slow_headers_time_out")
class RestartsTimeoutWithEachRead(Client):
    """Applies its timeout to each read, not to the whole call."""

    def invoke(self, request, timeout_s):
        """Start the timeout again with each byte."""
        return RestartsTimeoutWithEachRead._Restarting(self.settings).invoke(request, timeout_s)

    class _Restarting(Client):
        def wait_s(self, timeouts):
            left = timeouts.wait_s()
            timeouts.ends += 10
            return left


@mutant(
    "test_silence_times_out",
    "test_a_late_answer_times_out",
    "test_the_next_call_works_after_a_timeout",
    "test_a_stall_ends_with_the_whole_timeout",
    "test_the_key_is_in_no_timeout_error",
)
class IgnoresItsTimeout(Client):
    """Waits for as long as it takes."""

    def invoke(self, request, timeout_s):
        """Call without a limit."""
        return super().invoke(request, 1000.0)

    def stream(self, request, timeout_s):
        """Call without a limit."""
        return super().stream(request, 1000.0)


@mutant("test_connecting_has_its_own_timeout")
class IgnoresConnectTimeout(Client):
    """Ignores the timeout for connecting."""

    def connect(self, timeouts):
        """Return a new connection."""
        timeouts.phase = "total"
        return super().connect(timeouts)


@mutant("test_a_call_waits_for_its_timeout")
class EndsWholeAnswersWhenIdle(Client):
    """Applies the timeout between two pieces of a stream to whole answers."""

    def invoke(self, request, timeout_s):
        """Call with the shorter timeout."""
        return super().invoke(request, min(timeout_s, self.settings.idle_timeout_s))


@mutant("test_a_call_waits_for_its_timeout")
class StaysInThePhaseOfConnecting(Client):
    """Applies the timeout for connecting to the whole call on event loops."""

    async def ainvoke(self, request, timeout_s):
        """Call with the shorter timeout."""
        return await super().ainvoke(request, min(timeout_s, self.settings.connect_timeout_s))


@mutant("test_a_slow_first_token_times_out")
class IgnoresFirstTokenTimeout(Client):
    """Ignores the timeout for the first token."""

    def wait_s(self, timeouts):
        """Skip the timeout of this phase."""
        if timeouts.phase == "first_token":
            return timeouts.ends - time.monotonic()
        return super().wait_s(timeouts)


@mutant("test_a_stall_times_out")
class IgnoresIdleTimeout(Client):
    """Ignores the timeout between two tokens."""

    def wait_s(self, timeouts):
        """Skip the timeout of this phase."""
        if timeouts.phase == "idle":
            return max(0.001, timeouts.ends - time.monotonic())
        return super().wait_s(timeouts)


@mutant(
    "test_a_call_waits_for_its_timeout",
    "test_the_loop_is_not_blocked",
    "test_tasks_do_not_wait_for_each_other",
    "test_connecting_has_its_own_timeout",
)
class IgnoresLongTimeout(Client):
    """Gives up after a tenth of a second, whatever its timeout is."""

    def invoke(self, request, timeout_s):
        """Call with a short timeout."""
        return super().invoke(request, min(timeout_s, 0.1))

    async def ainvoke(self, request, timeout_s):
        """Call with a short timeout."""
        return await super().ainvoke(request, min(timeout_s, 0.1))


@mutant(
    "test_a_refused_connection_is_unavailable",
    "test_the_key_is_in_no_connection_error",
    "test_a_service_that_was_not_reached_is_reported_as_such",
)
class RaisesVendorsError(Client):
    """Lets an exception of its vendor's client through when a connection is refused."""

    def connect(self, timeouts):
        """Raise an error of the vendor's."""
        try:
            return super().connect(timeouts)
        except ConnectionRefusedError:
            raise RuntimeError("VendorConnectError") from None


@mutant("test_creating_ends_in_time")
class CreatesSlowly(KestrelPlugin):
    """Takes two seconds to create a provider."""

    @hookimpl
    def kickai_create_provider(self, settings):
        """Wait, except for the provider that each test creates."""
        if threading.current_thread() is not threading.main_thread():
            time.sleep(2)
        return self.client(settings)


@mutant("test_validating_offline_ends_in_time")
class ValidatesSlowly(KestrelPlugin):
    """Takes two seconds to validate its settings offline."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Wait."""
        if not online and settings.key:
            time.sleep(2)
        return super().kickai_validate_provider(settings, online)


@mutant("test_cleaning_up_after_cancellation_ends_in_time")
class CleansUpSlowly(Client):
    """Takes more than a second to end a connection after a cancellation."""

    async def abort(self, writer):
        """Wait after a cancellation."""
        if isinstance(sys.exception(), asyncio.CancelledError):
            await asyncio.sleep(1.2)
        await super().abort(writer)


@mutant("test_closing_a_stream_ends_in_time")
class ClosesStreamsSlowly(Client):
    """Takes more than a second to close a stream early."""

    def stream(self, request, timeout_s):
        """Wait when closed."""
        chunks = super().stream(request, timeout_s)
        try:
            yield from chunks
        except GeneratorExit:
            time.sleep(1.2)
            raise


@mutant("test_a_service_that_was_not_reached_is_reported_as_such")
class NeverSetsReachedToFalse(Client):
    """Reports a refused connection with reached=True."""

    def build_connection_error(self, timeouts):
        """Leave out `reached`."""
        return ProviderUnavailableError("the connection was refused or lost")


@mutant("test_a_service_that_failed_was_reached")
class SetsReachedToFalseForOutages(Client):
    """Reports an error status with reached=False."""

    def build_error(self, status, headers, body):
        """Set `reached` to False."""
        error = super().build_error(status, headers, body)
        if isinstance(error, ProviderUnavailableError):
            error.reached = False
        return error
