"""The leases and the windows of permits in a memory store."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from kickai_providers_core.stores.api import Lease, Window
from kickai_providers_core.stores.memory.state import StoredLease, StoredWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kickai_providers_core.stores.memory.state import SwitchedContent

__all__ = ["MemoryLeases"]


class MemoryLeases:
    """Implements `Leases`; see there, and `MemoryStore`."""

    def __init__(self, content: SwitchedContent, clock: Callable[[], float]) -> None:
        self._content = content
        self._clock = clock

    def claim(self, name: str, holder: str, duration_s: float) -> Lease | None:
        """Claim or renew a lease; None while another holder has it."""
        content = self._content.get()
        with content.lock:
            now_s, held = self._clock(), content.leases.get(name)
            if held is not None and held.holder != holder and held.ends_s > now_s:
                return None
            content.leases[name] = StoredLease(holder, now_s + duration_s)
        return Lease(name=name, holder=holder, left_s=duration_s)

    def release(self, name: str, holder: str) -> None:
        """End a lease if the holder still has it."""
        content = self._content.get()
        with content.lock:
            held = content.leases.get(name)
            if held is not None and held.holder == holder:
                del content.leases[name]

    def take_permits(self, name: str, holder: str, *, amount: int, limit: int, window_s: float) -> Lease | None:
        """Take up to ``amount`` of the ``limit`` permits of the current window; None when none is left."""
        content = self._content.get()
        with content.lock:
            now_s, window = self._clock(), content.windows.get(name)
            if window is None or window.ends_s <= now_s:
                for ended in [each for each, kept in content.windows.items() if kept.ends_s <= now_s]:
                    del content.windows[ended]
                content.window += 1
                window = content.windows[name] = StoredWindow(content.window, 0, now_s + window_s)
            granted = min(amount, limit - window.used)
            if granted <= 0:
                return None
            window.used += granted
            left_s = window.ends_s - now_s
            return Lease(name=name, holder=holder, amount=granted, left_s=left_s, window=window.number)

    def return_permits(self, lease: Lease, amount: int) -> None:
        """Return permits that were not used, if their window is still the current one."""
        content = self._content.get()
        with content.lock:
            window = content.windows.get(lease.name)
            if window is not None and window.number == lease.window:
                window.used = max(0, window.used - max(0, min(amount, lease.amount)))

    def read_windows(self) -> Sequence[Window]:
        """Return the windows that have not ended, in order of their names."""
        content = self._content.get()
        with content.lock:
            now_s, windows = self._clock(), sorted(content.windows.items(), key=itemgetter(0))
        return [
            Window(name=name, used=window.used, left_s=window.ends_s - now_s)
            for name, window in windows
            if window.ends_s > now_s
        ]
