"""Encrypted connections, whose certificates are verified."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from application import open_store
from kickai_providers_core.stores.api import StoreError

TLS = Path(__file__).parent / "tls"


@pytest.fixture
def port(valkey):
    """The port of a server that speaks TLS and forwards to Valkey."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")
    with socket.create_server(("", 0)) as listener:
        threading.Thread(target=serve, args=(listener, context, valkey.port), daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def serve(listener, context, target):
    """Accept connections until the listener is closed."""
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=forward, args=(plain, context, target), daemon=True).start()


def forward(plain, context, target):
    """Forward one request and its answer after the other."""
    with (
        plain,
        suppress(OSError),
        context.wrap_socket(plain, server_side=True) as client,
        socket.create_connection(("127.0.0.1", target)) as server,
    ):
        while data := client.recv(65_536):
            server.sendall(data)
            client.sendall(server.recv(65_536))


def test_a_trusted_certificate(port):
    """The store works."""
    store = open_store(f"rediss://localhost:{port}/0?timeout_s=30&ca_file={TLS / 'authority.pem'}", "tls")
    store.documents.write("x", {"n": 1}, expected_version=0)
    assert store.documents.read("x").value == {"n": 1}
    store.documents.delete("")
    store.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("rediss://localhost:{port}/0?timeout_s=30", "its certificate is not valid: "),
        (
            f"rediss://127.0.0.2:{{port}}/0?timeout_s=30&ca_file={TLS / 'authority.pem'}",
            "its certificate is not valid: ",
        ),
        ("rediss://localhost:{port}/0?timeout_s=30&ca_file=/nowhere.pem", "No such file or directory"),
    ],
    ids=["an unknown authority", "another name", "a missing file"],
)
def test_other_certificates_are_refused(port, url, reason):
    """The message says why."""
    with pytest.raises(StoreError) as caught:
        open_store(url.format(port=port)).check()
    assert f"cannot be reached: {reason}" in str(caught.value)


def test_a_server_without_tls(valkey):
    """The message says what to check."""
    with pytest.raises(StoreError, match=r"cannot be reached|did not answer"):
        open_store(f"rediss://127.0.0.1:{valkey.port}/0?timeout_s=0.5").check()


def test_a_server_with_tls(port):
    """Without encryption it is not understood."""
    with pytest.raises(StoreError, match=r"cannot be reached|cannot be used|did not answer"):
        open_store(f"redis://127.0.0.1:{port}/0?timeout_s=0.5").check()
