"""The progress of a batch on standard error: a bar on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from kickai_providers_core.cli.batch_results import BatchResults
    from kickai_providers_core.cli.console import Console

__all__ = ["BatchBar"]

WIDTH = 24
"""The columns of the bar."""

REDRAW_S = 0.1
LOG_S = 30.0


class BatchBar:
    """Shows how far a batch is, for one thread.

    Args:
        console: Where to write.
        total: The number of requests.
        results: The results so far.
    """

    def __init__(self, console: Console, total: int, results: BatchResults) -> None:
        self._console = console
        self._total = total
        self._results = results
        self._earlier = results.count
        self._began = self._drawn = self._logged = monotonic()
        self._stack = ExitStack()

    def update(self) -> None:
        """Draw the bar anew, if that was not done just now."""
        now = monotonic()
        if now - self._drawn >= REDRAW_S:
            self._drawn = now
            self._console.set_status(self._describe(now))
        if not self._console.has_spinner and now - self._logged >= LOG_S:
            self._logged = now
            self._console.log(self._describe(now))

    def _describe(self, now: float) -> str:
        results = self._results
        share = min(results.count / self._total, 1.0) if self._total else 1.0
        filled = round(share * WIDTH)
        rate = (results.count - self._earlier) / max(now - self._began, 0.001)
        left_s = (self._total - results.count) / rate if rate else 0.0
        parts = [f"{'█' * filled}{'░' * (WIDTH - filled)} {share:4.0%}", f"{results.count} of {self._total}"]
        if results.failed:
            parts.append(f"{results.failed} failed")
        if rate:
            parts += [f"{rate:.1f}/s", f"{_format_time(left_s)} left"]
        return ", ".join(parts)

    def __enter__(self) -> Self:
        self._stack.enter_context(self._console.spinner())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _format_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
