"""The spinner: a line on a terminal that says what is happening."""

from __future__ import annotations

import os

from rich import spinner as rich_spinner
from rich.console import Console
from rich.live import Live
from rich.text import Text

__all__ = ["Spinner"]

MARGIN = 4
"""The columns that the symbol and the cursor take next to the text."""


class Spinner:
    """A spinner on standard error; lines can be printed above it."""

    def __init__(self) -> None:
        # Some versions of rich disable colour for an empty NO_COLOR as well, unlike https://no-color.org.
        self._console = Console(stderr=True, highlight=False, no_color=bool(os.environ.get("NO_COLOR")))
        self._live: Live | None = None

    @property
    def is_shown(self) -> bool:
        """Whether it is on the screen."""
        return self._live is not None

    def show(self, text: str) -> None:
        """Show the spinner with this text."""
        line = Text(text)
        line.truncate(max(self._console.width - MARGIN, 1), overflow="ellipsis")
        symbol = rich_spinner.Spinner("dots", line)
        if self._live is None:
            # Answers go to standard output meanwhile, which rich must not redirect.
            self._live = Live(
                symbol, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
        else:
            self._live.update(symbol)

    def print(self, line: str, color: str | None) -> None:
        """Print a line above the spinner."""
        self._console.print(Text(line, style=color or ""), soft_wrap=True)

    def stop(self) -> None:
        """Remove the spinner."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
