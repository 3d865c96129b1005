"""How a run ends: from what it raised to a line on standard error and an exit code."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import click

from kickai_providers_core.cli import Terminated, records
from kickai_providers_core.cli.console import WriteError
from kickai_providers_core.cli.tracing import trace
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
    from kickai_providers_core.cli.session import Session

__all__ = ["conclude"]

FAILED = 1
USAGE = 2
BUG = 70  # EX_SOFTWARE of sysexits.h
WRITE = 74  # EX_IOERR
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EFBIG}
SIGNALLED = 128  # and the signal's number, as shells report it
HELP = "run `kickai doctor` to see what is missing, `kickai doctor --online` to check the services"
INTERRUPTED, PIPE_CLOSED, TERMINATED = SIGNALLED + 2, SIGNALLED + 13, SIGNALLED + 15


def conclude(error: BaseException, session: Session) -> int:
    """Tell why a run ends, and return its exit code; telling it may raise what writing raises."""
    console = session.console
    console.rest()
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        console.abandon()
        return PIPE_CLOSED
    if isinstance(error, KeyboardInterrupt | click.Abort):
        console.tell("kickai: interrupted")
        return INTERRUPTED
    if isinstance(error, Terminated):
        console.tell("kickai: terminated")
        return TERMINATED
    if isinstance(error, WriteError):
        console.tell(f"kickai: the answer cannot be written: {error}", "red")
        return WRITE
    if isinstance(error, OSError) and error.errno in UNWRITABLE:  # click has written the help or the version
        console.abandon()
        console.tell(f"kickai: standard output cannot be written to: {error.strerror}", "red")
        return WRITE
    if isinstance(error, click.ClickException):
        console.tell_block(_usage(error))
        return error.exit_code
    return _failed(error, session)


def _failed(error: BaseException, session: Session) -> int:
    console = session.console
    console.end_line()
    if session.debug:
        console.tell_block(trace(error, session.prompts))
    if not isinstance(error, KickaiError):
        told = f"kickai: unexpected {type(error).__name__}: please report it"
        console.tell(told if session.debug else f"{told}; --debug shows where it was raised", "red")
        return BUG
    if session.as_json:
        console.record(records.failure(error))
    for line in _lines(error, steps=not session.story_told):
        console.tell(line, "red")
    wrong = ConfigError | UnknownProviderError | ArgumentTypeError | ArgumentValueError
    return USAGE if isinstance(error, wrong) else FAILED


def _lines(error: KickaiError, *, steps: bool) -> list[str]:
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        told = f"kickai: {len(error.problems)} problems in the settings:"
        return [told, *(f"kickai: {problem}" for problem in error.problems)]
    if isinstance(error, ChainExhaustedError | DeadlineExceededError):
        whole = records.message_of(error)
        return [f"kickai: {whole if steps else whole.partition(':')[0]}", f"kickai: {HELP}"]
    lines = [f"kickai: {error}"]
    if getattr(error, "partial_text", ""):
        lines.append("kickai: the answer is incomplete")
    return lines


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if context is None:
        return f"Error: {error.format_message()}"
    hint = f"Try '{context.command_path} --help' for help."
    return f"{context.get_usage()}\n{hint}\n\nError: {error.format_message()}"
