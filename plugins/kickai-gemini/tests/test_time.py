"""Time that holds on sockets: connecting, names, TLS, proxies, cancelled and abandoned calls."""

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

SLACK_S = 1.0
"""More than the seam allows, for machines that do other things as well; what hangs here hangs for longer."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate for this machine that is its own authority; return the path of both its parts."""
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
    """Serve every connection on loopback with a function, in a thread each; give the port and the connections."""
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
    """Return a function that serves the API over TLS on a connection, or falls silent after the handshake."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    whole = str(candidate("pong", "STOP")).replace("'", '"')

    def handle(connection):
        with context.wrap_socket(connection, server_side=True) as secure:
            while b"\r\n\r\n" in (asked := secure.recv(65536)):
                while not asked.endswith(b"}"):
                    asked += secure.recv(65536)
                if silent:
                    secure.recv(1)
                    return
                array = "streamGenerateContent" in asked.decode() and "alt=sse" not in asked.decode()
                body = f"[{whole}]" if array else f"data: {whole}\r\n\r\n" if "alt=sse" in asked.decode() else whole
                kind = "text/event-stream" if "alt=sse" in asked.decode() else "application/json"
                head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
                secure.sendall((head + body).encode())

    return handle


@pytest.mark.parametrize("mode", MODES)
def test_tls_works_and_is_verified(calls, certificate, monkeypatch, mode):
    """Over TLS the service answers when its certificate is trusted; when it is not, that is this machine's fault."""
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
    """A service that falls silent after the handshake is waited for until the timeout, and not longer."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(answering(certificate, silent=True)) as (port, _):
        ended = calls(base_url=f"https://127.0.0.1:{port}")(mode, timeout_s=0.5)
    assert isinstance(ended.error, ProviderTimeoutError)
    assert ended.elapsed_s < 0.5 + SLACK_S


@pytest.mark.parametrize("mode", MODES)
def test_a_handshake_that_hangs_ends_in_time(calls, mode):
    """A port that accepts and says nothing of TLS is left when the time for connecting is over."""
    with serving(lambda connection: connection.recv(100_000) and time.sleep(5)) as (port, _):
        ended = calls(base_url=f"https://127.0.0.1:{port}", connect_timeout_s=0.4)(mode)
    assert isinstance(ended.error, ProviderTimeoutError)
    assert ended.error.phase == "connect"
    assert ended.elapsed_s < 0.4 + SLACK_S


def forwarding(seen):
    """Return a function that serves a proxy: it connects to where CONNECT says, and passes on whatever comes."""

    def handle(connection):
        asked = connection.recv(65536).decode()
        seen.append(asked)
        host, _, port = asked.split()[1].partition(":")
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
def test_tls_goes_through_the_environment_s_proxy(calls, certificate, monkeypatch, mode):
    """Over TLS a proxy is used that the environment names, and sees neither the key nor the prompt."""
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
def test_cancelling_ends_the_connection(calls, server, mode, fault):
    """A cancelled call, also one that runs in a thread, closes its socket at once."""
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


def test_an_abandoned_stream_ends_its_connection(calls, server):
    """Closing a sync stream half-way closes its socket."""
    server.default = Stall()
    stream = calls().provider.stream(ChatRequest.of("ping"), 30.0)
    assert next(stream).text
    stream.close()
    assert server.wait_closed(2.0)
