"""One process with one model, from its start to its end."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from socket import AF_INET, AddressFamily
from threading import Lock, Thread
from typing import IO, TYPE_CHECKING, Any, cast

from attrs import frozen
from kickai_providers_core import (
    ModelNotFoundError,
    ProviderError,
    ProviderUnavailableError,
    Secret,
    UnusableProviderError,
)

from kickai_local import model_server

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Process", "ProcessAddress"]

LOOPBACK = "127.0.0.1"

GRACE_S = 1.0
"""Seconds that the process may take to end by itself; it needs milliseconds."""

MAX_SOCKET_BYTES = 100
"""Bytes of the longest socket path that every system accepts (104 on macOS, 108 on Linux, with a final zero byte)."""

MAX_REASON = 300
"""The most characters of llama.cpp's own words that an error repeats."""


@frozen
class ProcessAddress:
    """Where a process listens, and the key that it requires.

    Attributes:
        family: ``AF_UNIX``, or ``AF_INET`` on the loopback interface.
        place: The path of a socket, or host and port.
        key: Random, and different for each process; requests without it are refused.
    """

    family: AddressFamily
    place: str | tuple[str, int]
    key: Secret

    @classmethod
    def from_text(cls, text: str, key: Secret) -> ProcessAddress:
        """Return the address that llama.cpp writes as ``unix://PATH`` or ``http://HOST:PORT``."""
        kind, _, place = text.partition("://")
        if kind == "unix":
            return cls(AddressFamily["AF_UNIX"], place, key)
        host, _, port = place.rpartition(":")
        return cls(AF_INET, (host, int(port)), key)


class Process:
    """One process that loads one model and serves it. Safe to share between threads.

    It starts at once, in a thread that ends when the model is loaded.

    Args:
        order: The order for `kickai_local.model_server`, without the address.
        unix: Whether to listen at a socket in a private directory rather than at a loopback port.

    Attributes:
        address: Set when the model is loaded, or to a `ProviderError` when it cannot be. It cannot be cancelled, so
            that a caller who stops waiting does not stop the others.
    """

    def __init__(self, order: Mapping[str, Any], *, unix: bool) -> None:
        self.address: Future[ProcessAddress | ProviderError] = Future()
        self.address.set_running_or_notify_cancel()
        self._order = order
        self._unix = unix
        self._directory = ""
        self._lock = Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._is_ending = False
        Thread(target=self._load, name="kickai-local-load", daemon=True).start()

    def has_ended(self) -> bool:
        """Return whether the process has failed or died; false while it loads."""
        if not self.address.done():
            return False
        return self._child is None or self._child.poll() is not None

    def end(self, grace_s: float = GRACE_S) -> None:
        """End the process and wait for its end; kill it after ``grace_s``, or at once while it loads.

        Does nothing the second time.
        """
        with self._lock:
            self._is_ending = True
            child = self._child
        if child is None or child.stdin is None:
            return
        with suppress(OSError):
            child.stdin.close()  # this makes it end
        try:
            child.wait(grace_s if self.address.done() else 0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self._clear(child.returncode)

    def _load(self) -> None:
        try:
            with tempfile.TemporaryFile() as log:
                self.address.set_result(self._start(log))
        except (OSError, ValueError) as exc:
            self._clear(-1)
            message = f"the runtime could not be started: {exc}"
            is_local = isinstance(exc, OSError)  # no interpreter, no temporary folder, too many open files
            self.address.set_result(UnusableProviderError(message) if is_local else ProviderUnavailableError(message))

    def _start(self, log: IO[bytes]) -> ProcessAddress | ProviderError:
        """Start the process; return its address once the model is loaded, or why it is not."""
        key = Secret(secrets.token_urlsafe(32))
        with self._lock:
            if self._is_ending:
                return ProviderUnavailableError("the provider is closed")
            host, self._directory = _make_socket_path() if self._unix else (LOOPBACK, "")
            child = self._child = _spawn({**self._order, "host": host, "directory": self._directory}, key, log)
        with cast("IO[bytes]", child.stdout) as out:
            address = out.read().decode()
        if address:
            return ProcessAddress.from_text(address, key)
        status = child.wait()
        self._clear(status)
        return _build_load_error(status, log)

    def _clear(self, status: int) -> None:
        """Remove the directory of a process that could not do so itself."""
        if status != 0:
            shutil.rmtree(self._directory, ignore_errors=True)


def _make_socket_path() -> tuple[str, str]:
    """Return where to listen, and a new directory that only this user can open, to be removed afterwards."""
    directory = tempfile.mkdtemp(prefix="kickai-local-")
    path = os.path.join(directory, "llama.sock")  # noqa: PTH118  a str for the order
    if len(os.fsencode(path)) <= MAX_SOCKET_BYTES:
        return path, directory
    Path(directory).rmdir()
    return LOOPBACK, ""


def _spawn(order: Mapping[str, Any], key: Secret, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the process and send it the order.

    It ends when its standard input closes, and also when this process ends: a forked child has a copy of the pipe and
    keeps it open.
    """
    child = subprocess.Popen(  # noqa: S603  this interpreter and a file of this package
        [sys.executable, "-I", model_server.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        # Threads that spin while they wait slow each other down where the cores are shared.
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        # Ctrl-C at the terminal is for the application alone, which then ends this process.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    stdin = cast("IO[bytes]", child.stdin)
    with suppress(OSError):  # it has died already: its exit status says why
        # Imports ignore entries of ``sys.path`` that are not strings, in both processes.
        stdin.write(json.dumps({**order, "key": key.reveal(), "parent": os.getpid()}, default=str).encode() + b"\n")
        stdin.flush()
    return child


def _build_load_error(status: int, log: IO[bytes]) -> ProviderError:
    """Return the error for a process that ended before its model was loaded."""
    reason = _read_reason(log)
    if status == model_server.NO_RUNTIME:
        return UnusableProviderError(f"the runtime xllamacpp cannot be used: {reason}")
    if status == model_server.NO_MODEL:
        return ModelNotFoundError(f"llama.cpp cannot load the model: {reason}")
    ended = signal.Signals(-status).name if status < 0 else f"status {status}"
    return ProviderUnavailableError(f"the runtime ended ({ended}) while it loaded the model: {reason}")


def _read_reason(log: IO[bytes]) -> str:
    """Return llama.cpp's first error, or the last line of the log if there is none.

    An error in the log reads ``0.00.022.618 E llama_model_load: …``.
    """
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line.partition(" E ")[2].strip() for line in lines if " E " in line]
    reason = errors[0] if errors else lines[-1] if lines else "it gave no reason"
    return reason[:MAX_REASON]
