"""How a run ends with an error: its message, its traceback with ``--debug``, and the exit code."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import click

from kickai_providers_core.cli import Terminated, json_output
from kickai_providers_core.cli.console import WriteError
from kickai_providers_core.cli.tracebacks import format_error
from kickai_providers_core.values.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    ChainExhaustedError,
    ConfigError,
    DeadlineExceededError,
    KickaiError,
    UnknownProviderError,
)

if TYPE_CHECKING:
    from kickai_providers_core.cli.common_options import Session

__all__ = ["PIPE_CLOSED", "report_error"]

FAILED = 1
USAGE = 2
BUG = 70  # EX_SOFTWARE of sysexits.h
WRITE = 74  # EX_IOERR
SIGNALLED = 128  # plus the number of the signal, as in shells
INTERRUPTED, PIPE_CLOSED, TERMINATED = SIGNALLED + 2, SIGNALLED + 13, SIGNALLED + 15

UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EFBIG}
HELP = "run `kickai doctor` to see what is missing, or `kickai doctor --online` to check the services as well"


def report_error(error: BaseException, session: Session) -> int:
    """Report the error that ends a run, and return the exit code; raises what writing raises."""
    console = session.console
    console.stop_spinner()
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        console.discard_output()
        return PIPE_CLOSED
    if isinstance(error, KeyboardInterrupt | click.Abort):
        console.log("kickai: interrupted")
        return INTERRUPTED
    if isinstance(error, Terminated):
        console.log("kickai: terminated")
        return TERMINATED
    if isinstance(error, WriteError):
        console.log(f"kickai: cannot write the answer: {error}", "red")
        return WRITE
    if isinstance(error, OSError) and error.errno in UNWRITABLE:  # raised by click for the help or the version
        console.discard_output()
        console.log(f"kickai: cannot write to standard output: {error.strerror}", "red")
        return WRITE
    if isinstance(error, click.ClickException):
        console.log_block(_format_usage(error))
        return error.exit_code
    return _report_failure(error, session)


def _report_failure(error: BaseException, session: Session) -> int:
    console = session.console
    console.end_line()
    if session.debug:
        console.log_block(format_error(error, session.prompts))
    if not isinstance(error, KickaiError):
        message = f"kickai: unexpected {type(error).__name__}, please report it"
        console.log(message if session.debug else f"{message}; --debug shows where it was raised", "red")
        return BUG
    if session.as_json:
        console.write_json(json_output.from_error(error))
    for line in _format_failure(error, with_steps=not session.steps_shown):
        console.log(line, "red")
    is_usage = isinstance(error, ConfigError | UnknownProviderError | ArgumentTypeError | ArgumentValueError)
    return USAGE if is_usage else FAILED


def _format_failure(error: KickaiError, *, with_steps: bool) -> list[str]:
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        heading = f"kickai: {len(error.problems)} problems in the settings:"
        return [heading, *(f"kickai: {problem}" for problem in error.problems)]
    if isinstance(error, ChainExhaustedError | DeadlineExceededError):
        message = json_output.get_message(error)
        return [f"kickai: {message if with_steps else message.partition(':')[0]}", f"kickai: {HELP}"]
    lines = [f"kickai: {error}"]
    if getattr(error, "partial_text", ""):
        lines.append("kickai: the answer is incomplete")
    return lines


def _format_usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if context is None:
        return f"Error: {error.format_message()}"
    hint = f"Try '{context.command_path} --help' for help."
    return f"{context.get_usage()}\n{hint}\n\nError: {error.format_message()}"
