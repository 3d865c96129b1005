"""Timeouts that do not hold, and ones that run out too soon."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

from kestrel.client import Client
from kestrel.plugin import KestrelPlugin
from kestrel.wrong.register import mutant
from kickai_providers_core.plugin_api.hookspecs import hookimpl
from kickai_providers_core.values.errors import ProviderUnavailableError


@mutant("test_a_dripping_body_times_out", "test_slow_headers_time_out")
class RenewsItsPatience(Client):
    """Holds its timeout for each read, and not for the whole."""

    def ask(self, request, timeout_s):
        """Start the clock again with each byte."""
        return RenewsItsPatience._Renewing(self.settings).ask(request, timeout_s)

    class _Renewing(Client):
        def wait_s(self, patience):
            left = patience.wait_s()
            patience.ends += 10
            return left


@mutant("test_the_time_to_connect_has_a_timeout_of_its_own")
class ConnectsForEver(Client):
    """Connects for as long as the whole may take."""

    def connect(self, patience):
        """Return a new connection."""
        patience.phase = "total"
        return super().connect(patience)


@mutant("test_a_slow_first_token_times_out")
class WaitsForTheFirstToken(Client):
    """Waits for the first piece of a stream as long as for the whole."""

    def wait_s(self, patience):
        """Pass over the first phase."""
        if patience.phase == "first_token":
            return patience.ends - time.monotonic()
        return super().wait_s(patience)


@mutant("test_a_stall_times_out")
class WaitsBetweenTokens(Client):
    """Waits for further pieces of a stream as long as for the whole."""

    def wait_s(self, patience):
        """Pass over the last phase."""
        if patience.phase == "idle":
            return max(0.001, patience.ends - time.monotonic())
        return super().wait_s(patience)


@mutant(
    "test_patience_is_respected",
    "test_a_huge_body_is_typed",
    "test_the_loop_is_not_blocked",
    "test_tasks_do_not_wait_for_each_other",
    "test_the_time_to_connect_has_a_timeout_of_its_own",
    "test_a_service_that_was_not_reached_is_reported_as_such",
)
class Impatient(Client):
    """Gives the service a tenth of a second, whatever it is told."""

    def ask(self, request, timeout_s):
        """Hurry."""
        return super().ask(request, min(timeout_s, 0.1))

    async def aask(self, request, timeout_s):
        """Hurry."""
        return await super().aask(request, min(timeout_s, 0.1))


@mutant(
    "test_a_refused_connection_is_unavailable",
    "test_the_key_is_in_no_refusals_error",
    "test_a_service_that_was_not_reached_is_reported_as_such",
)
class LeaksTheVendorsError(Client):
    """Lets an exception of its vendor's through when nobody listens."""

    def connect(self, patience):
        """Fail as a client of a vendor's does."""
        try:
            return super().connect(patience)
        except ConnectionRefusedError:
            raise RuntimeError("VendorConnectError") from None


@mutant("test_creating_ends_in_time")
class CreatesSlowly(KestrelPlugin):
    """Takes two seconds to create a provider, which the first call waits for."""

    @hookimpl
    def kickai_create_provider(self, settings):
        """Wait first, but not for each test's own provider."""
        if threading.current_thread() is not threading.main_thread():
            time.sleep(2)
        return self.client(settings)


@mutant("test_validating_offline_ends_in_time")
class ValidatesSlowly(KestrelPlugin):
    """Takes two seconds to validate its settings, offline."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Wait first."""
        if not online and settings.key:
            time.sleep(2)
        return super().kickai_validate_provider(settings, online)


@mutant(
    "test_cleaning_up_after_cancellation_ends_in_time",
    "test_silence_times_out",
    "test_a_late_answer_times_out",
    "test_slow_headers_time_out",
    "test_a_dripping_body_times_out",
    "test_the_next_call_works_after_a_timeout",
    "test_a_slow_first_token_times_out",
    "test_a_stall_times_out",
    "test_a_stall_ends_with_the_whole_timeout",
)
class CleansUpSlowly(Client):
    """Takes more than a second to end a connection on an event loop."""

    async def hang_up(self, writer):
        """Wait first, though cancelled."""
        if isinstance(sys.exception(), asyncio.CancelledError):
            await asyncio.sleep(1.2)
        await super().hang_up(writer)


@mutant("test_closing_a_stream_ends_in_time")
class ClosesStreamsSlowly(Client):
    """Takes more than a second to close a stream that nobody reads to its end."""

    def stream(self, request, timeout_s):
        """Wait when closed."""
        chunks = super().stream(request, timeout_s)
        try:
            yield from chunks
        except GeneratorExit:
            time.sleep(1.2)
            raise


@mutant("test_a_service_that_was_not_reached_is_reported_as_such")
class NeverSaysThatNothingWasReached(Client):
    """Reports a refused connection as an outage of a service that was reached."""

    def lost(self, patience):
        """Leave out what was reached."""
        return ProviderUnavailableError("the connection was refused or lost")


@mutant("test_a_service_that_failed_was_reached")
class AlwaysSaysThatNothingWasReached(Client):
    """Reports an outage of the service as a network without a way to it."""

    def refusal(self, status, headers, body):
        """Say that nothing was reached."""
        error = super().refusal(status, headers, body)
        if isinstance(error, ProviderUnavailableError):
            error.reached = False
        return error
