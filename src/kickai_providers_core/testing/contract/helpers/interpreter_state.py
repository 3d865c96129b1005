"""What belongs to the interpreter and not to a plugin. Nothing but the standard library is imported here.

A new process runs this file by its path, to compare the state before and after the import of a plugin.
"""

from __future__ import annotations

import asyncio
import gc
import locale
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["marked_interpreter", "read_interpreter_state", "read_process_state"]

FUNCTIONS = {
    socket: ("socket", "create_connection", "getaddrinfo"),
    ssl: ("create_default_context", "SSLContext", "_create_default_https_context"),
}


def read_interpreter_state() -> dict[str, object]:
    """Return the streams, hooks, filters and limits of the interpreter, by what they are called in a message."""
    return {
        "sys.stdout": sys.stdout,
        "sys.stderr": sys.stderr,
        "sys.excepthook": sys.excepthook,
        "sys.unraisablehook": sys.unraisablehook,
        "threading.excepthook": threading.excepthook,
        "the recursion limit": sys.getrecursionlimit(),
        "the switch interval": sys.getswitchinterval(),
        "the garbage collector": (gc.isenabled(), gc.get_threshold()),
        "warnings.showwarning": warnings.showwarning,
        "warnings.warn": warnings.warn,
        "the warning filters": list(warnings.filters),
        "the policy of event loops": asyncio.get_event_loop_policy(),
        "the locale": locale.setlocale(locale.LC_ALL),
        "sys.path": list(sys.path),
        **{f"{module.__name__}.{name}": getattr(module, name) for module, names in FUNCTIONS.items() for name in names},
    }


def read_process_state() -> dict[str, object]:
    """Return the same, and the environment, the working directory, logging, signals and the defaults of sockets."""
    return {
        **read_interpreter_state(),
        "the environment": dict(os.environ),
        "the working directory": Path.cwd(),
        "the root logger": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "the handlers of signals": [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        "the default timeout of sockets": socket.getdefaulttimeout(),
    }


@contextmanager
def marked_interpreter() -> Iterator[None]:
    """Give the interpreter unusual hooks and limits meanwhile.

    A plugin may have changed the usual ones in an earlier test: what it sets again would be no change.
    """
    before = (sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning)
    limits = (sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled(), gc.get_threshold())
    policy, place = asyncio.get_event_loop_policy(), locale.setlocale(locale.LC_ALL)
    try:
        sys.excepthook = partial(before[0])
        sys.unraisablehook = partial(before[1])
        threading.excepthook = partial(before[2])
        sys.setrecursionlimit(limits[0] + 137)
        sys.setswitchinterval(0.0043)
        gc.enable()
        gc.set_threshold(713, 11, 11)
        asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
        _set_another_time_format()
        yield
    finally:
        sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning = before
        sys.setrecursionlimit(limits[0])
        sys.setswitchinterval(limits[1])
        (gc.enable if limits[2] else gc.disable)()
        gc.set_threshold(*limits[3])
        asyncio.set_event_loop_policy(policy)
        locale.setlocale(locale.LC_ALL, place)


def _set_another_time_format() -> None:
    """Change the locale where it matters least, if the system has another one."""
    now = locale.setlocale(locale.LC_TIME)
    for name in {"C", "C.UTF-8", "en_US.UTF-8"} - {now}:
        try:
            locale.setlocale(locale.LC_TIME, name)
        except locale.Error:
            continue
        return
