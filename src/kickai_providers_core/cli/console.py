"""What the command line writes: answers to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from kickai_providers_core.plugin_api.isolation import keys_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kickai_providers_core.cli.spinner import Spinner
    from kickai_providers_core.values.secrets import Secret

__all__ = ["Console", "WriteError"]

SHORTEST_KEY = 8
"""Keys from this many characters on are looked for in what is written; a shorter one would be found everywhere."""

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What may steer a terminal: control characters, escape sequences in 7 and 8 bits, overrides of the text's direction.

None of it is written, whoever it comes from: a model, a service, a plugin, a file or an argument. An answer that goes
to a file or a pipe is left as it is, and JSON has such characters escaped.
"""

STYLE = re.compile(r"(\x1b\[[0-9;]*m)")
"""The sequences that `click.style` makes."""


CLOSED = "standard output is closed"

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


class WriteError(Exception):
    """Standard output cannot be written to, although somebody reads it: a full disk."""


class Console:
    """Writes to the standard streams of the process; for one thread.

    No key that it was told to hide is in anything that it writes. Whether a stream is a terminal decides about
    colour and about the spinner; ``NO_COLOR`` (https://no-color.org) takes the colour away.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._color = False if environ.get("NO_COLOR") or environ.get("TERM") == "dumb" else None
        self._keys: tuple[str, ...] = ()
        self._variables: tuple[str, ...] = ()
        self._spinner: Spinner | None = None
        self._open = False  # whether the last line of standard output has no end yet
        # Standard output, and what sys.stdout was and which descriptor has taken the place of 1, while plugins run.
        self._own: Any = None
        self._before: tuple[Any, int | None] | None = None
        self.terminal = _is_terminal(sys.stdout)
        self._both = self.terminal and _is_terminal(sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")

    def hide(self, secrets: Iterable[Secret]) -> None:
        """Mask these keys in all that is written from now on."""
        keys = {secret.reveal() for secret in secrets}
        self._keys = tuple(sorted((key for key in keys if len(key) >= SHORTEST_KEY), key=len, reverse=True))

    def seclude(self) -> None:
        """Keep standard output for what this console writes: whatever plugins print goes to standard error instead.

        That holds for ``print``, for the descriptor 1 and C code that writes to it, and for processes that plugins
        start. Call it before the first plugin is imported.
        """
        if self._before is not None or sys.stdout is None:
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
        self._before = sys.stdout, descriptor
        sys.stdout = sys.stderr if sys.stderr is not None else open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115

    def release(self) -> None:
        """Give standard output back, when the process goes on after this run."""
        if self._before is None:
            return
        (sys.stdout, descriptor), self._before, self._own = self._before, None, None
        if descriptor is not None:
            os.dup2(descriptor, STANDARD_OUTPUT)
            os.close(descriptor)

    @property
    def _out(self) -> Any:
        """Standard output, wherever sys.stdout leads meanwhile."""
        return sys.stdout if self._own is None else self._own

    def hide_variables(self) -> None:
        """Mask what environment variables hold that are named like keys, in all but the answer, from now on."""
        self._variables = tuple(sorted(keys_in(), key=len, reverse=True))

    def answer(self, text: str) -> None:
        """Write a part of an answer, at once."""
        self.rest()
        if text:
            self._open = not text.endswith("\n")  # first, since Ctrl-C may come as soon as the text is seen
            self._write(CONTROL.sub("", text) if self.terminal else text)

    def end_line(self) -> None:
        """End the line that an answer has left open."""
        if self._open:
            self._open = False
            self._write("\n")

    def show(self, line: str) -> None:
        """Write a line of a listing."""
        self._write(f"{_tame(self._masked_more(line))}\n")

    def record(self, value: object) -> None:
        """Write a value as one line of JSON."""
        self.rest()
        plain = (getattr(self._out, "encoding", None) or "").lower().replace("-", "") != "utf8"
        text = json.dumps(self._masked_in(value), ensure_ascii=plain)
        self._write(CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")

    def tell(self, line: str, color: str | None = None) -> None:
        """Write one line to standard error; whoever has closed that is not told."""
        line = CONTROL.sub("", self._masked_more(" ".join(line.split())))
        with suppress(OSError, ValueError):
            self._tell(line, color)

    def tell_block(self, text: str) -> None:
        """Write several lines to standard error."""
        with suppress(OSError, ValueError):
            self.rest()
            click.echo(CONTROL.sub("", self._masked_more(text)), err=True, color=self._color)

    def _tell(self, line: str, color: str | None) -> None:
        if self._both:
            self.end_line()
        if self._spinner is not None and self._spinner.turning:
            self._spinner.print(line, color)
        else:
            click.echo(click.style(line, fg=color) if color else line, err=True, color=self._color)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let a spinner turn on a terminal whenever `wait_for` says for what."""
        if _is_terminal(sys.stderr):
            from kickai_providers_core.cli.spinner import Spinner  # noqa: PLC0415  rich costs a tenth of a second

            self._spinner = Spinner()
        try:
            yield
        finally:
            self.rest()
            self._spinner = None

    def wait_for(self, what: str) -> None:
        """Say what is being waited for, while nothing is on the line."""
        if self._spinner is not None and not self._open:
            self._spinner.turn(CONTROL.sub("", self._masked(what)))

    def rest(self) -> None:
        """Take the spinner away."""
        if self._spinner is not None:
            self._spinner.stop()

    def abandon(self) -> None:
        """Let what is left for standard output go nowhere, so that the interpreter can end in peace."""
        self._open = False
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())

    def _write(self, text: str) -> None:
        if self._out is None or self._out.closed:
            raise WriteError(CLOSED)
        try:
            click.echo(self._masked(text), file=self._out, nl=False, color=self._color)
        except BrokenPipeError:
            raise
        except OSError as exc:
            self.abandon()
            raise WriteError(exc.strerror or type(exc).__name__) from exc

    def _masked(self, text: str) -> str:
        for key in self._keys:
            text = text.replace(key, "***")
        return text

    def _masked_more(self, text: str) -> str:
        for key in self._variables:
            text = text.replace(key, "***")
        return self._masked(text)

    def _masked_in(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._masked(value)
        if isinstance(value, dict):
            return {key: self._masked_in(item) for key, item in value.items()}
        return [self._masked_in(item) for item in value] if isinstance(value, list | tuple) else value


def _tame(line: str) -> str:
    """Return a line with our own styles in it and nothing else that a terminal obeys."""
    return "".join(part if STYLE.fullmatch(part) else CONTROL.sub("", part) for part in STYLE.split(line))


def _is_terminal(stream: Any) -> bool:
    return stream is not None and not stream.closed and stream.isatty()
