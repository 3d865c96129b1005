"""The live view of ``kickai report --watch``."""

from __future__ import annotations

import os
import time
from typing import IO, TYPE_CHECKING, NoReturn

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from kickai_providers_core.cli.report_terminal import build_view
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.values.plain_text import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from kickai_providers_core.operations.report import Report
    from kickai_providers_core.operations.tables import Grouping

__all__ = ["show_live_report"]

LONGEST_ERROR = 500

EVERY_S = 2.0
"""Seconds between two readings of the report."""


def show_live_report(stream: IO[str], read: Callable[[], Report], by: Sequence[Grouping]) -> NoReturn:
    """Show the report on a terminal, and update it, until an exception such as `KeyboardInterrupt`.

    The alternative screen of the terminal is used, so that the lines before it are there again afterwards. A store that
    cannot be read for a while does not end the view.

    Args:
        stream: The terminal.
        read: Reads the report.
        by: How requests are grouped.
    """
    console = Console(file=stream, highlight=False, no_color=bool(os.environ.get("NO_COLOR")))
    report = read()
    live = Live(
        _build(report, by, console.width, ""),
        console=console,
        screen=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="crop",
    )
    try:  # not with: an interrupt while the view starts would leave the screen as it is
        live.start()
        while True:
            live.refresh()
            time.sleep(EVERY_S)
            problem = ""
            try:
                report = read()
            except StoreError as error:
                problem = clean_line(error, LONGEST_ERROR)
            live.update(_build(report, by, console.width, problem))
    finally:
        live.stop()


def _build(report: Report, by: Sequence[Grouping], width: int, problem: str) -> RenderableType:
    status = Text(f"store: {problem}", style="red") if problem else Text("Ctrl-C ends", style="bright_black")
    return Group(status, build_view(report, by, width))
