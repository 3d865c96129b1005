"""The model's process as the provider sees it: started when it is first needed, started again when it has died.

The model lives in a process of its own because native code can take its process down with it, because a process
that has ended has freed its memory for certain, and because what llama.cpp prints then reaches no terminal.
"""

from __future__ import annotations

import socket
import sys
from threading import Lock
from typing import TYPE_CHECKING

from kickai_providers_core import ProviderUnavailableError

from kickai_local.process import Process

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from kickai_providers_core import ProviderError

    from kickai_local.process import Address
    from kickai_local.settings import LocalSettings

__all__ = ["Runtime"]


class Runtime:
    """One model, and the process that serves it now.

    Safe to share between threads and event loops.

    Args:
        model: The model file.
        settings: Window, threads, graphics card.
        unix: Whether to listen at a socket in a private directory rather than at a loopback port.

    Attributes:
        name: The model's name: its file's, without the ending.
    """

    def __init__(self, model: Path, settings: LocalSettings, *, unix: bool = hasattr(socket, "AF_UNIX")) -> None:
        self.name = model.stem
        self._model = model
        self._settings = settings
        self._unix = unix
        self._lock = Lock()
        self._process: Process | None = None
        self._closed = False

    def address(self) -> Future[Address | ProviderError]:
        """Return where the model is served, or will be once it is loaded; start a process when there is none.

        Returns at once. When the load fails, the next call starts another process.

        Raises:
            ProviderUnavailableError: The runtime is closed.
        """
        with self._lock:
            if self._closed:
                raise ProviderUnavailableError("the provider is closed")
            if self._process is not None and self._process.has_ended():
                self._process.end()
                self._process = None
            if self._process is None:
                self._process = Process(self._order(), unix=self._unix)
            return self._process.address

    def abandon(self, address: Address) -> None:
        """End the process that listened at an address, unless another has taken its place."""
        with self._lock:
            process = self._process
        if process is not None and process.address.done() and process.address.result() is address:
            process.end(grace_s=0)

    def close(self) -> None:
        """End the process, whatever it is doing. Does nothing the second time."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is not None:
            process.end()

    def _order(self) -> dict[str, object]:
        own = self._settings
        return {
            "sys_path": sys.path,
            "model": str(self._model),
            "name": self.name,
            "context_window": own.context_window,
            "threads": own.threads,
            "gpu": own.gpu,
        }
