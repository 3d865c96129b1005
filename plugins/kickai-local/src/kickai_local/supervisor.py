"""The process that serves one model: started when it is first needed, and again when it has died.

The model has a process of its own for three reasons. Native code can crash the process it runs in. A process that has
ended has certainly freed its memory. What llama.cpp prints does not reach the application's terminal.
"""

from __future__ import annotations

import socket
import sys
from threading import Lock
from typing import TYPE_CHECKING

from kickai_providers_core import ProviderUnavailableError

from kickai_local.server_process import Process

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from kickai_providers_core import ProviderError

    from kickai_local.server_process import ProcessAddress
    from kickai_local.settings import LocalSettings

__all__ = ["Supervisor"]


class Supervisor:
    """One model and its current process. Safe to share between threads and event loops.

    Args:
        model: The model file.
        settings: Context window, threads, graphics card.
        unix: Whether to listen at a socket in a private directory rather than at a loopback port.

    Attributes:
        name: The model's name: the name of its file, without the suffix.
    """

    def __init__(self, model: Path, settings: LocalSettings, *, unix: bool = hasattr(socket, "AF_UNIX")) -> None:
        self.name = model.stem
        self._model = model
        self._settings = settings
        self._unix = unix
        self._lock = Lock()
        self._process: Process | None = None
        self._is_closed = False

    def get_address(self) -> Future[ProcessAddress | ProviderError]:
        """Return at once where the model is served, or will be once it is loaded; start a process if there is none.

        When loading fails, the next call starts another process.

        Raises:
            ProviderUnavailableError: The runtime is closed.
        """
        with self._lock:
            if self._is_closed:
                raise ProviderUnavailableError("the provider is closed")
            if self._process is not None and self._process.has_ended():
                self._process.end()
                self._process = None
            if self._process is None:
                self._process = Process(self._build_order(), unix=self._unix)
            return self._process.address

    def abandon(self, address: ProcessAddress) -> None:
        """End the process that listens at an address, unless another one has replaced it."""
        with self._lock:
            process = self._process
        if process is not None and process.address.done() and process.address.result() is address:
            process.end(grace_s=0)

    def close(self) -> None:
        """End the process, whatever it is doing. Does nothing the second time."""
        with self._lock:
            self._is_closed = True
            process, self._process = self._process, None
        if process is not None:
            process.end()

    def _build_order(self) -> dict[str, object]:
        return {
            "sys_path": sys.path,
            "model": str(self._model),
            "name": self.name,
            "context_window": self._settings.context_window,
            "threads": self._settings.threads,
            "gpu": self._settings.gpu,
        }
