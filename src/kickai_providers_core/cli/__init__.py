"""The command line ``kickai``: calls a chain of providers, and lists plugins, roles and problems.

click and rich are installed with the extra ``kickai-providers-core[cli]``. Nothing outside this package needs them.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import NoReturn

__all__ = ["Terminated", "main"]

REQUIRED = ("click", "rich")
USAGE = 2


class Terminated(BaseException):
    """The process received SIGTERM; like `KeyboardInterrupt`, no handler of exceptions catches it."""


def main() -> int:
    """Run ``kickai`` with the arguments of the process, and return its exit code."""
    _open_closed_streams()
    missing = [name for name in REQUIRED if find_spec(name) is None]
    if missing:
        _log(f"the command line needs {' and '.join(missing)}; run pip install 'kickai-providers-core[cli]'")
        return USAGE
    try:
        signal.signal(signal.SIGTERM, _terminate)
        from kickai_providers_core.cli.command_group import run  # noqa: PLC0415  needs click, which was looked for above

        return run(sys.argv[1:], is_process=True)
    except (KeyboardInterrupt, Terminated) as error:  # while loading, or a second one while ending
        is_interrupt = isinstance(error, KeyboardInterrupt)
        _log("interrupted" if is_interrupt else "terminated")
        return 130 if is_interrupt else 143
    finally:
        # Only the interpreter ends after this: a signal ends it at once and silently.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _open_closed_streams() -> None:
    """Open the null device for each closed standard stream, so that no other file gets its descriptor."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _log(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # standard error may be closed
        sys.stderr.write(f"kickai: {text}\n")


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise Terminated
