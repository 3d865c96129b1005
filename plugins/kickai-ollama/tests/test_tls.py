"""A server behind TLS: the same answers, errors and timeouts."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from pathlib import Path

import pytest
from calling import MODES
from kickai_providers_core import InvalidReplyError, ProviderTimeoutError, Secret, UnusableProviderError
from kickai_providers_core.testing.faults import Cut, Drip, Silence, Stall

CERTIFICATE = Path(__file__).with_name("localhost.pem")
SLACK_S = 1.25


class Terminator:
    """A TLS proxy on the loopback interface for a port without TLS; a context manager."""

    def __init__(self, inner_port):
        self._inner_port = inner_port
        self._ready = threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),))
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(CERTIFICATE)
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _pass_on(self, reader, writer):
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._inner_port)
        ways = (self._copy(reader, inner_writer), self._copy(inner_reader, writer))
        try:
            await asyncio.wait(map(asyncio.ensure_future, ways), return_when=asyncio.FIRST_COMPLETED)
        finally:
            inner_writer.close()
            writer.close()

    async def _copy(self, reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass


@pytest.fixture
def tls_url(server):
    """Serve the fault server over TLS, and yield its address."""
    with Terminator(server.port) as terminator:
        yield f"https://localhost:{terminator.port}"


@pytest.fixture
def trusting(monkeypatch):
    """Trust the certificate of the tests."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


@pytest.mark.parametrize("mode", MODES)
def test_a_server_behind_tls_answers(server, tls_url, trusting, calls, mode):
    """Over TLS the key is sent, and the answer is returned."""
    call = calls(host=tls_url, api_key=Secret("canary"))
    for _ in range(2):
        assert call(mode).reply.text == "pong"
    assert server.requests[-1].headers["authorization"] == "Bearer canary"


@pytest.mark.parametrize("mode", MODES)
def test_an_untrusted_certificate_is_rejected(server, tls_url, calls, mode):
    """A server without a trusted certificate gets neither the key nor the prompt."""
    error = calls(host=tls_url, api_key=Secret("canary"))(mode).error
    assert type(error) is UnusableProviderError
    assert "SSL_CERT_FILE" in error.message
    assert not server.requests


@pytest.mark.parametrize("mode", MODES)
def test_timeouts_hold_over_tls(server, tls_url, trusting, calls, mode):
    """Silence, and a body that arrives byte by byte, end in a timeout, and the socket is closed."""
    call = calls(host=tls_url)
    assert call(mode).reply  # connects and loads what TLS needs
    for fault in (Silence(), Drip(0.05)):
        server.script(fault)
        ended = call(mode, timeout_s=0.3)
        assert type(ended.error) is ProviderTimeoutError
        assert ended.elapsed_s < 0.3 + SLACK_S
        assert server.wait_closed(1.0)


@pytest.mark.parametrize("mode", MODES)
def test_a_handshake_that_never_ends_is_a_timeout(calls, mode):
    """The timeout of connecting includes the TLS handshake."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        ended = calls(host=f"https://localhost:{mute.getsockname()[1]}", connect_timeout_s=0.3)(mode)
    assert type(ended.error) is ProviderTimeoutError
    assert ended.error.phase == "connect"
    assert ended.elapsed_s < 0.3 + SLACK_S


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_streams_fail_over_tls_as_they_do_without(server, tls_url, trusting, calls, mode):
    """A stream that is cut is an error over TLS too, and one that stalls is a timeout."""
    call = calls(host=tls_url, idle_timeout_s=0.3)
    server.script(Cut(1, "clean"), Stall(1))
    assert type(call(mode).error) is InvalidReplyError
    assert call(mode).error.phase == "idle"
