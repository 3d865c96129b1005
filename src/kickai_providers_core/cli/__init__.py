"""The command line ``kickai``: asks a chain, and shows plugins, roles and problems.

click and rich come with the extra ``kickai-providers-core[cli]``. Nothing outside this package needs them.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import NoReturn

__all__ = ["Terminated", "main"]

NEEDED = ("click", "rich")
USAGE = 2


class Terminated(BaseException):
    """The process was told to end (SIGTERM); like `KeyboardInterrupt` it passes through everything."""


def main() -> int:
    """Run ``kickai`` with the arguments of the process, and return its exit code."""
    _fill_closed_streams()
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        _tell(f"the command line needs {' and '.join(missing)}: pip install 'kickai-providers-core[cli]'")
        return USAGE
    try:
        signal.signal(signal.SIGTERM, _terminate)
        from kickai_providers_core.cli.program import run  # noqa: PLC0415  click is there, as was just seen

        return run(sys.argv[1:], leaves=True)
    except (KeyboardInterrupt, Terminated) as signalled:  # while it was loading, or once more while it was ending
        interrupted = isinstance(signalled, KeyboardInterrupt)
        _tell("interrupted" if interrupted else "terminated")
        return 130 if interrupted else 143
    finally:
        # From here on only the interpreter ends: a signal ends it at once, and nothing is printed.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _fill_closed_streams() -> None:
    """Open the null device where a standard stream is closed, so that no other file gets its number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _tell(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # whoever has closed standard error is not told
        sys.stderr.write(f"kickai: {text}\n")


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise Terminated
