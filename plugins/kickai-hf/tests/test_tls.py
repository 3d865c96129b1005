"""TLS, with real certificates on real sockets."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from calling import MODES, acall, call
from hf_wire import MODEL, HfWire
from kickai_providers_core import ProviderTimeoutError, ProviderUnavailableError, Secret, UnusableProviderError
from kickai_providers_core.testing.faults import Recorded


class Handler(BaseHTTPRequestHandler):
    """Answers as the service does."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[set] = set()

    def do_POST(self):
        """Answer with a document or with events."""
        self.connections.add(self.client_address)
        body = self.rfile.read(int(self.headers["content-length"]))
        request = Recorded(method="POST", path=self.path, headers={}, body=body)
        wire = HfWire()
        if wire.wants_stream(request):
            head, events = wire.stream(request, ("po", "ng"))
            data = b"".join(events)
        else:
            head = wire.reply(request, "pong")
            data = head.body
        self.send_response(200)
        for name, value in {**head.headers, "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        for part in (data,) if b"drip" not in body else data.split(b" "):
            self.wfile.write(part)
            self.wfile.flush()
            time.sleep(0.1 * (b"drip" in body))

    def do_CONNECT(self):
        """Refuse, as a proxy may."""
        self.server.connects.append(dict(self.headers))
        self.send_response(403)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Log nothing."""


class Quiet(ThreadingHTTPServer):
    """A server that does not print the errors of its connections."""

    daemon_threads = True
    connects: list

    def handle_error(self, *_):
        """Print nothing."""


CERTIFICATES = Path(__file__).parent / "tls"
"""A private certificate authority, and a key and certificate that it issued; both are valid for a century."""


@pytest.fixture
def address():
    """Serve with TLS; yield the address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem")
    server = Quiet(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def trusted(address, monkeypatch):
    """Return the address of a server whose authority is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "authority.pem"))
    return address


@pytest.mark.parametrize("mode", MODES)
def test_tls_works(mode, trusted, provide):
    """All modes work if the certificate authority is trusted."""
    provider = provide(base_url=trusted)
    for _ in range(3):
        assert call(provider, mode, "ping" * 100_000).text == "pong"


def test_a_tls_connection_is_reused_after_a_stream(trusted, provide):
    """TLS connections are expensive, so calls and streams share one."""
    provider = provide(base_url=trusted)

    async def several():
        for mode in ("ainvoke", "astream") * 3:
            assert (await acall(provider, mode)).text == "pong"

    Handler.connections.clear()
    asyncio.run(several())
    assert len(Handler.connections) == 1
    for mode in ("invoke", "stream") * 3:
        assert call(provider, mode).text == "pong"
    assert len(Handler.connections) == 2


@pytest.mark.parametrize("mode", MODES)
def test_timeouts_hold_with_tls(mode, trusted, provide):
    """A body that arrives byte by byte ends with the timeout."""
    ended = call(provide(base_url=trusted), mode, "drip", timeout_s=0.3)
    assert isinstance(ended.error, ProviderTimeoutError)
    assert ended.elapsed_s < 0.3 + 1.25


@pytest.mark.parametrize("mode", MODES)
def test_an_untrusted_certificate_is_a_local_fault(mode, address, provide):
    """The error names the variable to set, and nothing is sent."""
    ended = call(provide(base_url=address), mode)
    assert type(ended.error) is UnusableProviderError
    assert "SSL_CERT_FILE" in ended.error.message


@pytest.mark.parametrize("mode", MODES)
def test_a_proxy_is_used_for_tls_and_sees_no_token(mode, provide, monkeypatch):
    """The proxy gets a CONNECT request and nothing else."""
    proxy = Quiet(("127.0.0.1", 0), Handler)
    proxy.connects = []
    thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
    thread.start()
    try:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        provider = provide(base_url="https://inference.example/v1", token=Secret("canary"), model=MODEL)
        ended = call(provider, mode)
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
    assert isinstance(ended.error, ProviderUnavailableError)
    assert "proxy" in ended.error.message
    assert ended.error.reached is False
    assert len(proxy.connects) == 1
    assert "canary" not in str(proxy.connects)
