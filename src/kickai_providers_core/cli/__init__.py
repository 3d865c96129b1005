"""The command line ``kickai``: asks a chain, and shows plugins, roles and problems.

click and rich come with the extra ``kickai-providers-core[cli]``. Nothing outside this package needs them.
"""

from __future__ import annotations

import signal
import sys
from importlib.util import find_spec
from typing import NoReturn

__all__ = ["Terminated", "main"]

NEEDED = ("click", "rich")
USAGE = 2


class Terminated(BaseException):
    """The process was told to end (SIGTERM); like `KeyboardInterrupt` it passes through everything."""


def main() -> int:
    """Run ``kickai`` with the arguments of the process, and return its exit code."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        told = f"kickai: the command line needs {' and '.join(missing)}: pip install 'kickai-providers-core[cli]'\n"
        sys.stderr.write(told)
        return USAGE
    try:
        signal.signal(signal.SIGTERM, _terminate)
        from kickai_providers_core.cli.program import run  # noqa: PLC0415  click is there, as was just seen

        return run(sys.argv[1:])
    except (KeyboardInterrupt, Terminated) as signalled:  # while it was loading, or once more while it was ending
        interrupted = isinstance(signalled, KeyboardInterrupt)
        sys.stderr.write(f"kickai: {'interrupted' if interrupted else 'terminated'}\n")
        return 130 if interrupted else 143


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise Terminated
