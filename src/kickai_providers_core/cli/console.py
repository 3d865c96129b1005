"""The output of the command line: answers and listings on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from kickai_providers_core.cli.output_masking import CONTROL, KeyMask, strip_control

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kickai_providers_core.cli.spinner import Spinner

__all__ = ["CLOSED", "Console", "StandardOutput", "WriteError"]

CLOSED = "standard output is closed"

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


class WriteError(Exception):
    """Standard output cannot be written to, although it is read: the disk is full, for example."""


class StandardOutput:
    """Standard output, which can be reserved for the command line while plugins run."""

    def __init__(self) -> None:
        self._own: Any = None
        # What sys.stdout was, and the descriptor that has replaced 1, while it is reserved.
        self._replaced: tuple[Any, int | None] | None = None

    @property
    def stream(self) -> Any:
        """The stream to write to; None when standard output is closed."""
        return sys.stdout if self._own is None else self._own

    def reserve(self) -> None:
        """Send whatever plugins print to standard error, and keep standard output for this object's `stream`.

        This affects ``print``, descriptor 1 and C code that writes to it, and processes that plugins start. Call it
        before the first plugin is imported.
        """
        if self._replaced is not None or sys.stdout is None:
            return
        self._own, descriptor = sys.stdout, None
        with suppress(OSError, ValueError):  # not a stream of the system, as in tests
            sys.stdout.flush()
            if sys.stdout.fileno() == STANDARD_OUTPUT:
                descriptor = os.dup(STANDARD_OUTPUT)
                self._own = open(  # noqa: SIM115  it lives as long as the process
                    descriptor, "w", encoding=sys.stdout.encoding, errors="replace", closefd=False
                )
                os.dup2(STANDARD_ERROR, STANDARD_OUTPUT)
        self._replaced = sys.stdout, descriptor
        sys.stdout = sys.stderr if sys.stderr is not None else open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115

    def restore(self) -> None:
        """Undo `reserve`, when the process continues after this run."""
        if self._replaced is None:
            return
        (sys.stdout, descriptor), self._replaced, self._own = self._replaced, None, None
        if descriptor is not None:
            os.dup2(descriptor, STANDARD_OUTPUT)
            os.close(descriptor)

    def discard(self) -> None:
        """Discard what is still buffered, so that the interpreter does not fail to write it when it ends."""
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


class Console:
    """Writes to the standard streams; for one thread.

    Keys are masked in everything that it writes. Colour and the spinner are for terminals only; ``NO_COLOR``
    (https://no-color.org) disables colour.

    Attributes:
        mask: The keys to mask.
        output: Standard output.
        is_terminal: Whether standard output is a terminal.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.mask = KeyMask()
        self.output = StandardOutput()
        self.is_terminal = _is_terminal(sys.stdout)
        self._color = False if environ.get("NO_COLOR") or environ.get("TERM") == "dumb" else None
        self._spinner: Spinner | None = None
        self._line_open = False  # whether the last line of standard output has no end yet
        self._share_terminal = self.is_terminal and _is_terminal(sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")

    def write_answer(self, text: str) -> None:
        """Write a part of an answer to standard output, at once."""
        self.stop_spinner()
        if text:
            self._line_open = not text.endswith("\n")  # before writing: Ctrl-C may come as soon as the text is seen
            self._write(strip_control(text) if self.is_terminal else text)

    def end_line(self) -> None:
        """End the line that an answer has left open."""
        if self._line_open:
            self._line_open = False
            self._write("\n")

    def write_line(self, line: str) -> None:
        """Write a line of a listing to standard output."""
        self._write(f"{strip_control(self.mask.apply(line), keep_styles=True)}\n")

    def write_json(self, value: object) -> None:
        """Write a value to standard output as one line of JSON."""
        self.stop_spinner()
        encoding = getattr(self.output.stream, "encoding", None) or ""
        escape = encoding.lower().replace("-", "") != "utf8"
        text = json.dumps(self.mask.apply_to_json(value), ensure_ascii=escape)
        self._write(CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")

    def log(self, line: str, color: str | None = None) -> None:
        """Write one line to standard error, if that is open."""
        line = strip_control(self.mask.apply(" ".join(line.split())))
        with suppress(OSError, ValueError):
            if self._share_terminal:
                self.end_line()
            if self._spinner is not None and self._spinner.is_shown:
                self._spinner.print(line, color)
            else:
                click.echo(click.style(line, fg=color) if color else line, err=True, color=self._color)

    def warn(self, text: str) -> None:
        """Write a warning to standard error."""
        self.log(f"warning: {text}", "yellow")

    def log_block(self, text: str) -> None:
        """Write several lines to standard error, if that is open."""
        with suppress(OSError, ValueError):
            self.stop_spinner()
            click.echo(strip_control(self.mask.apply(text)), err=True, color=self._color)

    @contextmanager
    def spinner(self) -> Iterator[None]:
        """Show a spinner on a terminal whenever `set_status` is called."""
        if _is_terminal(sys.stderr):
            from kickai_providers_core.cli.spinner import Spinner  # noqa: PLC0415  rich takes a tenth of a second

            self._spinner = Spinner()
        try:
            yield
        finally:
            self.stop_spinner()
            self._spinner = None

    def set_status(self, status: str) -> None:
        """Show next to the spinner what is happening, unless an answer is on the line."""
        if self._spinner is not None and not self._line_open:
            self._spinner.show(strip_control(self.mask.apply(status, is_answer=True)))

    @property
    def has_spinner(self) -> bool:
        """Whether a status is shown: standard error is a terminal, and `spinner` was entered."""
        return self._spinner is not None

    def stop_spinner(self) -> None:
        """Remove the spinner."""
        if self._spinner is not None:
            self._spinner.stop()

    def discard_output(self) -> None:
        """Discard what is still buffered for standard output."""
        self._line_open = False
        self.output.discard()

    def _write(self, text: str) -> None:
        stream = self.output.stream
        if stream is None or stream.closed:
            raise WriteError(CLOSED)
        try:
            click.echo(self.mask.apply(text, is_answer=True), file=stream, nl=False, color=self._color)
        except BrokenPipeError:
            raise
        except OSError as exc:
            self.discard_output()
            raise WriteError(exc.strerror or type(exc).__name__) from exc


def _is_terminal(stream: Any) -> bool:
    return stream is not None and not stream.closed and stream.isatty()
