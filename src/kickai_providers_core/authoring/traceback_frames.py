"""Exceptions without the frames they went through: the variables there may hold a key, a prompt or an answer."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["without_frames"]

E = TypeVar("E", bound=BaseException)


def without_frames(exc: E) -> E:
    """Return an exception after removing its traceback, and the tracebacks of all exceptions behind it.

    Class, arguments, cause and context stay. Call it before the exception becomes the cause of another one, and raise
    that one outside of the ``except`` block: inside, Python adds the frames to it as context. Loggers that print local
    variables then have none to print.

    Args:
        exc: Any exception; changed in place. Causes may form a circle.
    """
    waiting: list[BaseException | None] = [exc]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = None
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
    return exc
