"""Leases of probes: who may call a target that is unavailable, among the calls and the processes that could."""

from __future__ import annotations

from threading import Lock

from attrs import frozen

from kickai_providers_core.values.base_value import Value

__all__ = ["FREE_PROBES", "LONG_AGO", "LastResortLease", "ProbeGate"]

LONG_AGO = float("-inf")


@frozen(eq=False, repr=False)
class ProbeGate(Value):
    """Whether a probe needs a lease, since only one of several processes probes a target.

    Attributes:
        required_until: The time until which it does; it passes by itself when the leases' store fails.
        lease_until: The time until which this process has the lease.
    """

    required_until: float = LONG_AGO
    lease_until: float = LONG_AGO

    def is_shut(self, now: float) -> bool:
        """Return whether no probe is allowed now."""
        return self.lease_until <= now < self.required_until


FREE_PROBES = ProbeGate()
"""The gate of a target whose health is not shared."""


class LastResortLease:
    """Allows one call of last resort at a time. Safe to use from any thread.

    Args:
        duration_s: Seconds after which a call that has not ended no longer holds it.
    """

    __slots__ = ("_duration_s", "_lock", "_until")

    def __init__(self, duration_s: float) -> None:
        self._duration_s = duration_s
        self._lock = Lock()
        self._until = LONG_AGO

    def renew_after_fork(self) -> None:
        """Be free in a child: a running call is the parent's."""
        self._lock = Lock()
        self._until = LONG_AGO

    def is_free(self, now: float) -> bool:
        """Return whether no call holds it."""
        return now >= self._until

    def claim(self, now: float) -> float | None:
        """Claim it and return its expiry time; None while another call holds it."""
        with self._lock:
            if not self.is_free(now):
                return None
            self._until = now + self._duration_s
            return self._until

    def end(self, until: float) -> None:
        """End it, unless another call holds a newer one."""
        with self._lock:
            if until == self._until:
                self._until = LONG_AGO
