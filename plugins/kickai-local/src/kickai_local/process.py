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

from kickai_local import serve

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Address", "Process"]

LOOPBACK = "127.0.0.1"

GRACE_S = 1.0
"""How long the process may take to end by itself; it needs milliseconds."""

LONGEST_SOCKET = 100
"""Bytes of the longest path that every system takes for a socket (104 with its end on macOS, 108 on Linux)."""

LONGEST_REASON = 300
"""Characters of llama.cpp's own words that an error repeats."""


@frozen
class Address:
    """Where a process listens, and what it must be shown.

    Attributes:
        family: ``AF_UNIX``, or ``AF_INET`` on the loopback interface.
        place: The path of a socket, or host and port.
        key: Drawn anew for each process; whoever does not have it is refused.
    """

    family: AddressFamily
    place: str | tuple[str, int]
    key: Secret

    @classmethod
    def parse(cls, text: str, key: Secret) -> Address:
        """Return the address that llama.cpp writes as ``unix://PATH`` or ``http://HOST:PORT``."""
        kind, _, place = text.partition("://")
        if kind == "unix":
            return cls(AddressFamily["AF_UNIX"], place, key)
        host, _, port = place.rpartition(":")
        return cls(AF_INET, (host, int(port)), key)


class Process:
    """One process that loads one model and serves it.

    It starts at once, in a thread that ends when the model is loaded, so that nobody has to wait for it.
    Safe to share between threads.

    Args:
        order: What `kickai_local.serve` is to do, apart from where to listen.
        unix: Whether to listen at a socket in a private directory rather than at a loopback port.

    Attributes:
        address: Known once the model is loaded; or why it is not, as a `ProviderError`. It never counts as cancelled:
            whoever stops waiting for it stops nobody else.
    """

    def __init__(self, order: Mapping[str, Any], *, unix: bool) -> None:
        self.address: Future[Address | ProviderError] = Future()
        self.address.set_running_or_notify_cancel()
        self._order = order
        self._unix = unix
        self._directory = ""
        self._lock = Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._unwanted = False
        Thread(target=self._load, name="kickai-local-load", daemon=True).start()

    def has_ended(self) -> bool:
        """Return whether the process has failed or died; False while it loads."""
        if not self.address.done():
            return False
        return self._child is None or self._child.poll() is not None

    def end(self, grace_s: float = GRACE_S) -> None:
        """End the process, by force after ``grace_s`` or while it is still loading, and wait for that.

        Does nothing the second time.
        """
        with self._lock:
            self._unwanted = True
            child = self._child
        if child is None or child.stdin is None:
            return
        with suppress(OSError):
            child.stdin.close()  # it takes this as its sign to end
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
            told = f"the runtime could not be started: {exc}"
            local = isinstance(exc, OSError)  # no interpreter, no temporary folder, too many open files
            self.address.set_result(UnusableProviderError(told) if local else ProviderUnavailableError(told))

    def _start(self, log: IO[bytes]) -> Address | ProviderError:
        """Start the process; return its address once the model is loaded, or why it is not."""
        key = Secret(secrets.token_urlsafe(32))
        with self._lock:
            if self._unwanted:
                return ProviderUnavailableError("the provider is closed")
            host, self._directory = _socket() if self._unix else (LOOPBACK, "")
            child = self._child = _spawn({**self._order, "host": host, "directory": self._directory}, key, log)
        with cast("IO[bytes]", child.stdout) as out:
            told = out.read().decode()
        if told:
            return Address.parse(told, key)
        status = child.wait()
        self._clear(status)
        return _failure(status, log)

    def _clear(self, status: int) -> None:
        """Remove what a process that did not end by itself has left behind."""
        if status != 0:
            shutil.rmtree(self._directory, ignore_errors=True)


def _socket() -> tuple[str, str]:
    """Return where to listen, and the new directory to be removed afterwards, which is open to this user alone."""
    directory = tempfile.mkdtemp(prefix="kickai-local-")
    path = os.path.join(directory, "llama.sock")  # noqa: PTH118  it is handed on as text
    if len(os.fsencode(path)) <= LONGEST_SOCKET:
        return path, directory
    Path(directory).rmdir()
    return LOOPBACK, ""


def _spawn(order: Mapping[str, Any], key: Secret, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the process and tell it what to do.

    It ends when its standard input closes, or when this process ends: a child that was forked from this process
    meanwhile has a copy of the pipe, and keeps it open.
    """
    child = subprocess.Popen(  # noqa: S603  this interpreter and a file of this package
        [sys.executable, "-I", serve.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        # Threads that spin while they wait for each other ruin each other where the cores are shared.
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        # Ctrl-C at the terminal is for the application; the process ends when the application lets go of it.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    stdin = cast("IO[bytes]", child.stdin)
    with suppress(OSError):  # it has died already: its exit status tells why
        # Whatever is no text in ``sys.path`` is passed over by imports, here as there.
        stdin.write(json.dumps({**order, "key": key.reveal(), "parent": os.getpid()}, default=str).encode() + b"\n")
        stdin.flush()
    return child


def _failure(status: int, log: IO[bytes]) -> ProviderError:
    """Return the error for a process that ended before it had loaded its model."""
    reason = _reason(log)
    if status == serve.NO_RUNTIME:
        return UnusableProviderError(f"the runtime xllamacpp cannot be used: {reason}")
    if status == serve.NO_MODEL:
        return ModelNotFoundError(f"llama.cpp cannot load the model: {reason}")
    ended = signal.Signals(-status).name if status < 0 else f"status {status}"
    return ProviderUnavailableError(f"the runtime ended ({ended}) while it loaded the model: {reason}")


def _reason(log: IO[bytes]) -> str:
    """Return llama.cpp's first error, or else the last line of the log.

    An error of llama.cpp's log reads ``0.00.022.618 E llama_model_load: …``.
    """
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line.partition(" E ")[2].strip() for line in lines if " E " in line]
    told = errors[0] if errors else lines[-1] if lines else "it gave no reason"
    return told[:LONGEST_REASON]
