"""Calls a function at the end of the process."""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EndOfProcess"]


class EndOfProcess:
    """Calls a function when the process ends, unless it is killed or ends with `os._exit`.

    The children of `multiprocessing` do not run the functions of `atexit`: they end with `os._exit` after its own
    finalizers. So the function is registered there too, if the module is in use. It may be called twice.
    """

    def __init__(self) -> None:
        self._function: Callable[[], None] | None = None
        self._finalizer: Any = None

    def register(self, function: Callable[[], None]) -> None:
        """Register the function."""
        self._function = function
        atexit.register(function)
        multiprocessing = sys.modules.get("multiprocessing.util")
        if multiprocessing is not None:
            self._finalizer = multiprocessing.Finalize(None, function, exitpriority=0)

    def unregister(self) -> None:
        """Forget the function."""
        if self._function is not None:
            atexit.unregister(self._function)
        if self._finalizer is not None:
            self._finalizer.cancel()
        self._function = self._finalizer = None
