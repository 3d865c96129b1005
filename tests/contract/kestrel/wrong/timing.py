"""Timeouts that do not hold, and ones that run out too soon."""

from __future__ import annotations

import time

from kestrel.client import Client
from kestrel.wrong.register import mutant


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
)
class Impatient(Client):
    """Gives the service a tenth of a second, whatever it is told."""

    def ask(self, request, timeout_s):
        """Hurry."""
        return super().ask(request, min(timeout_s, 0.1))

    async def aask(self, request, timeout_s):
        """Hurry."""
        return await super().aask(request, min(timeout_s, 0.1))


@mutant("test_a_refused_connection_is_unavailable", "test_the_key_is_in_no_refusals_error")
class LeaksTheVendorsError(Client):
    """Lets an exception of its vendor's through when nobody listens."""

    def connect(self, patience):
        """Fail as a client of a vendor's does."""
        try:
            return super().connect(patience)
        except ConnectionRefusedError:
            raise RuntimeError("VendorConnectError") from None
