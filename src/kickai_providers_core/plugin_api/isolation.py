"""Code of plugins, run so that nothing it does costs more than itself: exceptions of any kind, hangs, and output.

What cannot be bounded from within a process is native code that holds the interpreter's lock, a plugin that ends the
process (``os._exit``), and, in an application that makes its resolver while one of its own modules is imported, the
import of a plugin: another thread would wait there for the lock of the module that is being imported.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs
from attrs import frozen

from kickai_providers_core.concurrency import threads
from kickai_providers_core.values.plain_text import clean_line
from kickai_providers_core.values.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

__all__ = [
    "LOAD_TIMEOUT_S",
    "RunResult",
    "count_cancellations",
    "describe_error",
    "find_environment_keys",
    "find_secrets",
    "is_exit_or_cancellation",
    "is_process_exit",
    "mask_secrets",
    "run_bounded",
]

LOAD_TIMEOUT_S = 10.0
"""The seconds that a plugin's import, or its description of itself, may take."""

DESCRIPTION_LIMIT = 500
"""The most characters of an exception's description."""

SHORTEST_KEY = 8
"""Values from this many characters on are looked for; a shorter one would be found everywhere."""

KEY_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)


@frozen
class RunResult:
    """How a piece of foreign code ended.

    Attributes:
        value: What it returned.
        error: What it raised; None when it returned.
        timed_out: Whether it did not end in time, so that it was left to its thread.
        seconds: How long it took.
        warnings: What it did to the standard streams, as clauses.
    """

    value: Any = None
    error: BaseException | None = None
    timed_out: bool = False
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()


def run_bounded(function: Callable[[], object], timeout_s: float, what: str) -> RunResult:
    """Run a function for at most ``timeout_s`` seconds, in a thread of its own, with its output kept back.

    Args:
        function: What to run.
        timeout_s: Seconds to wait for it.
        what: What it is, for the warnings: ``its import``.

    Raises:
        KeyboardInterrupt: The user wants to leave; so may the function have raised it.
    """
    taps = (_OutputCapture("stdout"), _OutputCapture("stderr"))

    def run() -> RunResult:
        for tap in taps:
            tap.take(threading.get_ident())
        began = time.perf_counter()
        try:
            outcome = RunResult(value=function())
        except BaseException as exc:  # noqa: BLE001  foreign code: it is one plugin's fault, whatever it is
            outcome = RunResult(error=exc)
        return RunResult(outcome.value, outcome.error, seconds=time.perf_counter() - began)

    for tap in taps:
        tap.install()
    try:
        outcome = run() if _is_importing() else threads.call(run, timeout_s)
    except TimeoutError:
        outcome = RunResult(timed_out=True, seconds=timeout_s)
    finally:
        for tap in taps:
            tap.remove()
    if isinstance(outcome.error, KeyboardInterrupt):
        raise outcome.error
    warnings = [f"{what} {done}" for tap in taps for done in tap.done()]
    return RunResult(outcome.value, outcome.error, outcome.timed_out, outcome.seconds, tuple(warnings))


def is_process_exit(error: BaseException) -> bool:
    """Return whether an exception that came out of a plugin's code is not the plugin's own: the process is to end.

    `KeyboardInterrupt` is, since nobody can tell who raised it. So is anything that a signal handler raised (gunicorn
    ends a worker by `SystemExit` from one), which shows in the traceback.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, KeyboardInterrupt):
        return True
    if threading.current_thread() is not threading.main_thread():
        return False
    handlers = _signal_handlers()
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _signal_handlers() -> set[CodeType]:
    """Return the code of every function that is installed as a signal handler."""
    found: set[CodeType] = set()
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        handler = getattr(handler, "func", handler)  # functools.partial
        handler = getattr(handler, "__func__", handler)  # a method
        if not hasattr(handler, "__code__"):  # an object that can be called
            handler = getattr(type(handler), "__call__", None)  # noqa: B004  its code is wanted, not whether it has any
        code = getattr(handler, "__code__", None)
        if code is not None:
            found.add(code)
    return found


def describe_error(error: BaseException, secrets: frozenset[str] = frozenset()) -> str:
    """Return an exception's class and message as one line, even when its ``__str__`` raises.

    Args:
        error: The exception.
        secrets: Texts that must not be in the line, such as keys.
    """
    try:
        message = str(error)
    except BaseException as exc:
        if is_process_exit(exc):
            raise
        message = "(its message cannot be shown)"
    message = mask_secrets(message, secrets)
    name = type(error).__name__
    return clean_line(f"{name}: {message}" if message else name, DESCRIPTION_LIMIT)


def mask_secrets(text: str, secrets: frozenset[str]) -> str:
    """Return a text with each secret, and each form in which ``repr`` shows it, replaced by ``***``."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_KEY:
            text = text.replace(secret, "***").replace(repr(secret)[1:-1], "***")
    return text


def find_environment_keys(environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return the values of the environment variables that are named like keys, passwords or tokens."""
    known = os.environ if environ is None else environ
    return frozenset(
        value.strip() for name, value in known.items() if KEY_NAME.search(name) and len(value.strip()) >= SHORTEST_KEY
    )


def find_secrets(value: Any) -> frozenset[str]:
    """Return the text of every `Secret` in settings."""
    if isinstance(value, Secret):
        return frozenset({value.reveal()})
    if attrs.has(type(value)):
        value = [getattr(value, field.name) for field in attrs.fields(type(value))]
    elif isinstance(value, Mapping):
        value = [*value.values()]
    if not isinstance(value, tuple | list | set | frozenset):
        return frozenset()
    return frozenset().union(*map(find_secrets, value))


def count_cancellations() -> int:
    """Return how often the running task has been asked to end by now, not counting what it is yet to notice."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return 0
    return 0 if task is None else task.cancelling() - bool(getattr(task, "_must_cancel", False))


def is_exit_or_cancellation(error: BaseException, before: int) -> bool:
    """Return whether an exception in a task means that the task, or the process, is to end.

    Args:
        error: What came out of a plugin's code.
        before: What `cancellations` said before that code ran. A `CancelledError` that nobody has asked for since then
            is the plugin's own.
    """
    return is_process_exit(error) or (isinstance(error, asyncio.CancelledError) and count_cancellations() > before)


def _is_importing() -> bool:
    """Return whether the calling thread is importing a module, whose lock an import in another thread may want."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  the only way to see one's callers
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


class _OutputCapture:
    """Stands in for a standard stream: keeps back what one thread writes, and passes on what all others do."""

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name
        self._stream: Any = None
        self._thread: int | None = None
        self._written = 0
        self._replaced = False
        self._over = False

    def install(self) -> None:
        self._stream = getattr(sys, self._name)
        setattr(sys, self._name, self)

    def take(self, thread: int) -> None:
        self._thread = thread

    def remove(self) -> None:
        """Put the stream back, unless somebody else's tap lies over this one."""
        self._over = True
        now = getattr(sys, self._name)
        if now is not self and isinstance(now, _OutputCapture):
            return  # it puts back what was below this one
        self._replaced = now is not self
        stream = self._stream
        while isinstance(stream, _OutputCapture) and stream._over:  # noqa: SLF001  of the same class
            stream = stream._stream  # noqa: SLF001
        setattr(sys, self._name, stream)

    def done(self) -> list[str]:
        """Return what was done to the stream."""
        done = [f"wrote to sys.{self._name}"] if self._written else []
        return [*done, f"replaced sys.{self._name}"] if self._replaced else done

    def _is_kept(self) -> bool:
        return self._stream is None or (not self._over and threading.get_ident() == self._thread)

    def write(self, text: Any) -> int:
        if not self._is_kept():
            return self._stream.write(text)  # type: ignore[no-any-return]
        self._written += len(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if not self._is_kept():
            self._stream.flush()

    def close(self) -> None:
        if not self._is_kept():
            self._stream.close()

    @property
    def buffer(self) -> Any:
        return self if self._is_kept() else self._stream.buffer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
