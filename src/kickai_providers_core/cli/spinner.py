"""The line on a terminal that says what is being waited for."""

from __future__ import annotations

import os

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner as Wheel
from rich.text import Text

__all__ = ["Spinner"]

MARGIN = 4
"""The columns that the wheel and the cursor need beside the text."""


class Spinner:
    """A wheel on standard error that turns while somebody waits, above which lines can be printed."""

    def __init__(self) -> None:
        # rich reads NO_COLOR in a way of its own in some versions: https://no-color.org says what is not empty.
        self._console = Console(stderr=True, highlight=False, no_color=bool(os.environ.get("NO_COLOR")))
        self._live: Live | None = None

    @property
    def turning(self) -> bool:
        """Whether it is on the screen."""
        return self._live is not None

    def turn(self, text: str) -> None:
        """Show the wheel with this text, from now on."""
        shown = Text(text)
        shown.truncate(max(self._console.width - MARGIN, 1), overflow="ellipsis")
        wheel = Wheel("dots", shown)
        if self._live is None:
            # Answers go to standard output while it turns: they are not for rich to redirect.
            self._live = Live(
                wheel, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
        else:
            self._live.update(wheel)

    def print(self, line: str, color: str | None) -> None:
        """Print a line above the wheel."""
        self._console.print(Text(line, style=color or ""), soft_wrap=True)

    def stop(self) -> None:
        """Take the wheel off the screen."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
