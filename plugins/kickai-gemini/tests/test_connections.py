"""Connections: TLS, proxies, timeouts, cancelled and abandoned calls."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from conftest import KEY, MODES
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gemini_service import candidate
from kickai_providers_core import ChatRequest, ProviderTimeoutError, UnusableProviderError
from kickai_providers_core.testing.faults import Silence, Stall

SLACK_S = 1.25
"""More than the guaranteed 0.25 s, for busy machines; a failure would take much longer."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a self-signed certificate for this machine; return the path of the certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    today = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(serialization.Encoding.PEM)
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(pem)
    return path


@contextmanager
def serving(handle):
    """Serve every connection on loopback with a function, each in a thread; yield the port and the connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = []

        def accept():
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    taken.append(connection)
                    threading.Thread(target=attend, args=(connection,), daemon=True).start()

        def attend(connection):
            with suppress(OSError), connection:
                handle(connection)

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1], taken
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in taken:
                connection.close()


def answering(certificate, *, silent=False):
    """Return a function that serves the API over TLS, or sends nothing after the handshake."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    whole = str(candidate("pong", "STOP")).replace("'", '"')

    def handle(connection):
        with context.wrap_socket(connection, server_side=True) as secure:
            while b"\r\n\r\n" in (received := secure.recv(65536)):
                while not received.endswith(b"}"):
                    received += secure.recv(65536)
                if silent:
                    secure.recv(1)
                    return
                is_stream = "alt=sse" in received.decode()
                body = f"data: {whole}\r\n\r\n" if is_stream else whole
                kind = "text/event-stream" if is_stream else "application/json"
                head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
                secure.sendall((head + body).encode())

    return handle


@pytest.mark.parametrize("mode", MODES)
def test_tls_works_and_is_verified(calls, certificate, monkeypatch, mode):
    """A service with a trusted certificate answers; an untrusted certificate is a fault of this machine."""
    with serving(answering(certificate)) as (port, _):
        stranger = calls(base_url=f"https://127.0.0.1:{port}")
        error = stranger(mode).error
        assert type(error) is UnusableProviderError
        assert "SSL_CERT_FILE" in error.message
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        call = calls(base_url=f"https://127.0.0.1:{port}")
        assert [call(mode).reply.text for _ in range(2)] == ["pong", "pong"]


@pytest.mark.parametrize("mode", MODES)
def test_silence_over_tls_ends_in_time(calls, certificate, monkeypatch, mode):
    """A service that sends nothing after the handshake ends the call at its timeout."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(answering(certificate, silent=True)) as (port, _):
        ended = calls(base_url=f"https://127.0.0.1:{port}")(mode, timeout_s=0.5)
    assert isinstance(ended.error, ProviderTimeoutError)
    assert ended.elapsed_s < 0.5 + SLACK_S


@pytest.mark.parametrize("mode", MODES)
def test_hanging_handshake_ends_in_time(calls, mode):
    """A handshake that never ends is limited by the connect timeout."""
    with serving(lambda connection: connection.recv(100_000) and time.sleep(5)) as (port, _):
        ended = calls(base_url=f"https://127.0.0.1:{port}", connect_timeout_s=0.4)(mode)
    assert isinstance(ended.error, ProviderTimeoutError)
    assert ended.error.phase == "connect"
    assert ended.elapsed_s < 0.4 + SLACK_S


def forwarding(seen):
    """Return a function that serves an HTTP proxy."""

    def handle(connection):
        received = connection.recv(65536).decode()
        seen.append(received)
        host, _, port = received.split()[1].partition(":")
        with socket.create_connection((host, int(port))) as service:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=passed, args=(connection, service), daemon=True).start()
            passed(service, connection)

    def passed(here, there):
        with suppress(OSError):
            while data := here.recv(65536):
                there.sendall(data)
            there.shutdown(socket.SHUT_WR)

    return handle


@pytest.mark.parametrize("mode", MODES)
def test_proxy_of_the_environment_is_used_for_tls(calls, certificate, monkeypatch, mode):
    """The environment's proxy is used over TLS, and does not see the key."""
    seen = []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(answering(certificate)) as (port, _), serving(forwarding(seen)) as (proxy, _):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy}")
        assert calls(base_url=f"https://127.0.0.1:{port}")(mode).reply.text == "pong"
        assert seen[0].startswith(f"CONNECT 127.0.0.1:{port} ")
        assert KEY.reveal() not in "".join(seen)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert calls(base_url=f"https://127.0.0.1:{port}")(mode).reply.text == "pong"
    assert len(seen) == 1


@pytest.mark.parametrize(("mode", "fault"), [("ainvoke", Silence()), ("astream", Silence()), ("astream", Stall())])
def test_cancelling_closes_the_connection(calls, server, mode, fault):
    """A cancelled call closes its connection at once."""
    server.default = fault
    provider = calls().provider

    async def consumed():
        if mode == "ainvoke":
            return await provider.ainvoke(ChatRequest.of("ping"), 30.0)
        return [chunk async for chunk in provider.astream(ChatRequest.of("ping"), 30.0)]

    async def cancelled():
        task = asyncio.create_task(consumed())
        await asyncio.to_thread(server.wait_requests, 1, 10)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await asyncio.to_thread(server.wait_closed, 2.0)

    assert asyncio.run(cancelled())


def test_closing_a_stream_closes_its_connection(calls, server):
    """Closing a sync stream early closes its connection."""
    server.default = Stall()
    stream = calls().provider.stream(ChatRequest.of("ping"), 30.0)
    assert next(stream).text
    stream.close()
    assert server.wait_closed(2.0)
