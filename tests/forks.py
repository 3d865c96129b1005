"""Real forks: run a function in a child process, and return its result."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["begin_child", "run_in_child"]

LONG_S = 30
"""Seconds after which a hanging child is killed, many times what a test needs."""


def begin_child(function: Callable[[], Any]) -> Callable[[], Any]:
    """Fork, run the function in the child, and return a function that waits for its result, which must be JSON."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the tests fork while other threads run
        pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LONG_S)
        try:
            with open(writing, "w", encoding="utf-8") as pipe:  # noqa: PTH123  a descriptor
                json.dump(function(), pipe)
        except BaseException:  # noqa: BLE001
            with suppress(Exception):
                traceback.print_exc(file=sys.__stderr__)
            os._exit(1)
        os._exit(0)
    os.close(writing)

    def result() -> Any:
        with open(reading, encoding="utf-8") as pipe:  # noqa: PTH123
            written = pipe.read()
        _, status = os.waitpid(pid, 0)
        assert not os.WIFSIGNALED(status), f"the child hung, and was killed by signal {os.WTERMSIG(status)}"
        assert os.WEXITSTATUS(status) == 0, "the child raised"
        return json.loads(written)

    return result


def run_in_child(function: Callable[[], Any]) -> Any:
    """Fork, and return what the function returns in the child."""
    return begin_child(function)()
