"""How long one call may still wait, and for what."""

from __future__ import annotations

import errno
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kickai_providers_core import ProviderError, ProviderTimeoutError, ProviderUnavailableError, UnusableProviderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.values.errors import TimeoutPhase

    from kickai_local.settings import LocalSettings

__all__ = ["Patience"]

TOLD = {
    "connect": "the model is still loading",
    "first_token": "no first token in time",
    "idle": "the stream fell silent",
    "total": "no answer in time",
}


class Patience:
    """The bounds of one call, from its beginning. It belongs to that call alone.

    Args:
        settings: Where the bounds of the phases stand.
        timeout_s: The bound of the whole call.
        streaming: Whether the first token and idleness have bounds of their own.
    """

    def __init__(self, settings: LocalSettings, timeout_s: float, *, streaming: bool) -> None:
        began = time.monotonic()
        self._ends = began + timeout_s
        self._phase: TimeoutPhase = "connect"
        self._due = began + settings.connect_timeout_s
        self._first_token_s = settings.first_token_timeout_s if streaming else math.inf
        self._idle_s = settings.idle_timeout_s if streaming else math.inf

    def wait_s(self) -> float:
        """Return how many seconds to wait for the next thing, above 0.

        Raises:
            ProviderTimeoutError: There are none left.
        """
        left_s = min(self._due, self._ends) - time.monotonic()
        if left_s <= 0:
            raise self.error()
        return left_s

    def connected(self) -> None:
        """Take note that the model is loaded and takes the call: the first token is next."""
        self._phase, self._due = "first_token", time.monotonic() + self._first_token_s

    def heard(self) -> None:
        """Take note that a piece has come and the next one is wanted."""
        self._phase, self._due = "idle", time.monotonic() + self._idle_s

    def error(self) -> ProviderTimeoutError:
        """Return the error for the wait that was too long."""
        phase: TimeoutPhase = self._phase if self._due < self._ends else "total"
        return ProviderTimeoutError(TOLD[phase], phase=phase)

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Turn what sockets and waits raise into errors of the seam."""
        try:
            yield
        except ProviderError:
            raise
        except TimeoutError as exc:
            raise self.error() from exc
        except OSError as exc:
            if exc.errno in {errno.EMFILE, errno.ENFILE}:
                told = "this process has too many open files: raise its limit (ulimit -n), or close what is not needed"
                raise UnusableProviderError(told) from exc
            reached = self._phase != "connect"
            raise ProviderUnavailableError("the connection to the runtime broke", reached=reached) from exc
