"""The leases and the windows of permits in the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.stores.api import Lease, Window

from kickai_redis.errors import DamagedError
from kickai_redis.microseconds import from_us, to_us
from kickai_redis.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_redis.connection import Connection
    from kickai_redis.key_names import Keys

__all__ = ["RedisLeases"]

CLAIM = Script.load("claim_lease")
RELEASE = Script.load("release_lease")
TAKE = Script.load("take_permits")
RETURN = Script.load("return_permits")
READ = Script.load("read_unexpired")

VALUES_PER_WINDOW = 3


class RedisLeases:
    """Implements `Leases`; see there, and `Connection` for threads and forks. Its clock is the server's."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._leases = (keys.facts, keys.leases)
        self._windows = (keys.facts, keys.windows)

    def claim(self, name: str, holder: str, duration_s: float) -> Lease | None:
        """Claim or renew a lease; None while another holder has it."""
        if not self._connection.run(CLAIM, self._leases, (name, holder, to_us(duration_s))):
            return None
        return Lease(name=name, holder=holder, left_s=duration_s)

    def release(self, name: str, holder: str) -> None:
        """End a lease if the holder still has it."""
        self._connection.run(RELEASE, self._leases, (name, holder))

    def take_permits(self, name: str, holder: str, *, amount: int, limit: int, window_s: float) -> Lease | None:
        """Take up to ``amount`` of the ``limit`` permits of the current window; None when none is left."""
        found = self._connection.run(TAKE, self._windows, (name, amount, limit, to_us(window_s)))
        if not found:
            return None
        with self._connection.explain_errors():
            granted, number, left_us = found
            left_s = from_us(left_us)
            return Lease(name=name, holder=holder, amount=int(granted), left_s=left_s, window=int(number))

    def return_permits(self, lease: Lease, amount: int) -> None:
        """Return permits that were not used, if their window is still the current one."""
        returned = min(amount, lease.amount)
        if returned > 0:
            self._connection.run(RETURN, self._windows, (lease.name, lease.window, returned))

    def read_windows(self) -> Sequence[Window]:
        """Return the windows that have not ended, in order of their names."""
        found = self._connection.run(READ, self._windows)
        with self._connection.explain_errors():
            places = range(0, len(found), VALUES_PER_WINDOW)
            windows = [_decode(*found[place : place + VALUES_PER_WINDOW]) for place in places]
        return sorted(windows, key=lambda window: window.name)


def _decode(name: bytes, left_us: bytes, text: bytes) -> Window:
    try:
        return Window(name=name.decode(), used=int(text.split(b" ")[3]), left_s=from_us(left_us))
    except (ValueError, IndexError) as error:
        raise DamagedError("a window of permits") from error
