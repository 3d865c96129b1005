"""Isolation: runs a plugin's code so that its exceptions, hangs and output affect nothing else.

Three things cannot be contained within a process: native code that holds the interpreter's lock, a plugin that ends the
process (``os._exit``), and the import of a plugin in an application that creates its resolver while one of its own
modules is being imported. In the last case the import runs without a time limit, since another thread would wait for
the lock of that module.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from kickai_providers_core.concurrency import threads
from kickai_providers_core.plugin_api.secret_masking import mask_secrets
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.plain_text import clean_line
from kickai_providers_core.values.text_length_limits import SERVICE_MESSAGE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

__all__ = [
    "RunResult",
    "count_cancellations",
    "describe_error",
    "is_exit_or_cancellation",
    "is_process_exit",
    "run_bounded",
]


@frozen(eq=False, repr=False)
class RunResult(Value):
    """The result of running a plugin's code.

    Attributes:
        value: The return value.
        error: The exception that it raised; None if it returned.
        timed_out: Whether it exceeded the time limit. It then continues in its thread.
        seconds: Its duration.
        warnings: What it did to the standard streams, as clauses.
    """

    value: Any = None
    error: BaseException | None = None
    timed_out: bool = False
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()


def run_bounded(function: Callable[[], object], timeout_s: float, what: str) -> RunResult:
    """Run a function in its own thread, with a time limit, and discard its output.

    Args:
        function: The function.
        timeout_s: The time limit in seconds.
        what: A description of the function for the warnings, such as ``its import``.

    Raises:
        KeyboardInterrupt: The user interrupted the program, or the function raised it.
    """
    captures = (_OutputCapture("stdout"), _OutputCapture("stderr"))

    def run() -> RunResult:
        for capture in captures:
            capture.set_thread(threading.get_ident())
        began = time.perf_counter()
        try:
            outcome = RunResult(value=function())
        except BaseException as exc:  # noqa: BLE001  whatever a plugin raises is its own fault
            outcome = RunResult(error=exc)
        return RunResult(outcome.value, outcome.error, seconds=time.perf_counter() - began)

    for capture in captures:
        capture.install()
    try:
        outcome = run() if _is_importing() else threads.call(run, timeout_s)
    except TimeoutError:
        outcome = RunResult(timed_out=True, seconds=timeout_s)
    finally:
        for capture in captures:
            capture.remove()
    if isinstance(outcome.error, KeyboardInterrupt):
        raise outcome.error
    warnings = [f"{what} {done}" for capture in captures for done in capture.describe_changes()]
    return RunResult(outcome.value, outcome.error, outcome.timed_out, outcome.seconds, tuple(warnings))


def is_process_exit(error: BaseException) -> bool:
    """Return whether an exception means that the process should end, although a plugin's code raised it.

    This is true for `KeyboardInterrupt`, whose origin is unknown, and for an exception whose traceback shows that a
    signal handler raised it: gunicorn stops a worker with a `SystemExit` from a signal handler.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, KeyboardInterrupt):
        return True
    if threading.current_thread() is not threading.main_thread():
        return False
    handlers = _find_signal_handlers()
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _find_signal_handlers() -> set[CodeType]:
    """Return the code of every function that is installed as a signal handler."""
    found: set[CodeType] = set()
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        handler = getattr(handler, "func", handler)  # functools.partial
        handler = getattr(handler, "__func__", handler)  # a method
        if not hasattr(handler, "__code__"):  # a callable object
            handler = getattr(type(handler), "__call__", None)  # noqa: B004  the method itself is needed
        code = getattr(handler, "__code__", None)
        if code is not None:
            found.add(code)
    return found


def describe_error(error: BaseException, secrets: frozenset[str] = frozenset()) -> str:
    """Return an exception's class and message as one line, even when its ``__str__`` raises.

    Args:
        error: The exception.
        secrets: Texts that must not appear in the line, such as keys.
    """
    try:
        message = str(error)
    except BaseException as exc:
        if is_process_exit(exc):
            raise
        message = "(its message cannot be shown)"
    message = mask_secrets(message, secrets)
    name = type(error).__name__
    return clean_line(f"{name}: {message}" if message else name, SERVICE_MESSAGE_LIMIT)


def count_cancellations() -> int:
    """Return the number of cancellations that the running task has received; a pending one does not count."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return 0
    return 0 if task is None else task.cancelling() - bool(getattr(task, "_must_cancel", False))


def is_exit_or_cancellation(error: BaseException, before: int) -> bool:
    """Return whether an exception means that the running task or the process should end.

    Args:
        error: The exception that a plugin's code raised.
        before: The result of `count_cancellations` before that code ran. If the task was not cancelled since then, a
            `CancelledError` is the plugin's own.
    """
    return is_process_exit(error) or (isinstance(error, asyncio.CancelledError) and count_cancellations() > before)


def _is_importing() -> bool:
    """Return whether the calling thread is importing a module; an import in another thread may need its lock."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  the only way to inspect the callers
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


class _OutputCapture:
    """Replaces a standard stream: discards what one thread writes, and passes on the output of all others."""

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name
        self._stream: Any = None
        self._thread: int | None = None
        self._written = 0
        self._replaced = False
        self._is_removed = False

    def install(self) -> None:
        self._stream = getattr(sys, self._name)
        setattr(sys, self._name, self)

    def set_thread(self, thread: int) -> None:
        self._thread = thread

    def remove(self) -> None:
        """Restore the stream, unless a later capture has replaced this one."""
        self._is_removed = True
        now = getattr(sys, self._name)
        if now is not self and isinstance(now, _OutputCapture):
            return  # the later capture restores the stream
        self._replaced = now is not self
        stream = self._stream
        while isinstance(stream, _OutputCapture) and stream._is_removed:  # noqa: SLF001  of the same class
            stream = stream._stream  # noqa: SLF001
        setattr(sys, self._name, stream)

    def describe_changes(self) -> list[str]:
        """Return what the thread did to the stream."""
        done = [f"wrote to sys.{self._name}"] if self._written else []
        return [*done, f"replaced sys.{self._name}"] if self._replaced else done

    def _is_captured(self) -> bool:
        return self._stream is None or (not self._is_removed and threading.get_ident() == self._thread)

    def write(self, text: Any) -> int:
        if not self._is_captured():
            return self._stream.write(text)  # type: ignore[no-any-return]
        self._written += len(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if not self._is_captured():
            self._stream.flush()

    def close(self) -> None:
        if not self._is_captured():
            self._stream.close()

    @property
    def buffer(self) -> Any:
        return self if self._is_captured() else self._stream.buffer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
