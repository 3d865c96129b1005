"""Connections for httpx and httpx2 keep the limits of each attempt, whatever the service does."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from kickai_providers_core import (
    InvalidReplyError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    UnusableProviderError,
)
from kickai_providers_core.authoring import AttemptTimeouts, http_transport
from kickai_providers_core.testing.faults import blackhole, closed_port

CLIENTS = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed"))
    for name in ("httpx", "httpx2")
]
MODES = ["sync", "async"]
CERTIFICATE = Path(__file__).with_name("localhost.pem")
SLACK_S = 1.25
"""How much later than its limit an attempt may end here, on a machine that does other things too."""


class Service:
    """A service that reads each request and lets a function answer on the socket."""

    def __init__(self, answer, tls=None):
        self._answer = answer
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}"
        self.requests = []
        self.connections = 0
        self.was_called = threading.Event()
        self.hung_up = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with suppress(OSError), self._encrypt(connection) as connection:  # noqa: PLR1704  the same, encrypted
            received = b""
            while piece := connection.recv(65536):
                received += piece
                while b"\r\n\r\n" in received:
                    head, _, received = received.partition(b"\r\n\r\n")
                    self.requests.append(head)
                    self.was_called.set()
                    self._answer(connection)
        self.hung_up.set()

    def _encrypt(self, connection):
        return self._tls.wrap_socket(connection, server_side=True) if self._tls else connection

    def close(self):
        self._listener.close()


@contextmanager
def serving(answer, tls=None):
    """Return a service that runs within the block."""
    service = Service(answer, tls)
    try:
        yield service
    finally:
        service.close()


def says(body=b"hello", status=200, **headers):
    """Return an answer."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *(f"{n}: {v}" for n, v in headers.items())]
    return lambda connection: connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def drips(connection):
    """Answer with a byte at a time, for ever."""
    connection.sendall(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1\r\nx\r\n")
        time.sleep(0.02)


def is_silent(_connection):
    """Answer nothing."""


def fetch(transport, timeouts, client, mode, **options):
    """Send one request; return the body and the attempt, or raise the error that the attempt makes of a failure."""
    httpx = import_module(client)
    attempt = transport.attempt(timeouts, **options)
    url = transport._connections.url

    async def receive():
        async with httpx.AsyncClient(transport=attempt) as http, http.stream("GET", url) as response:
            return b"".join([part async for part in response.aiter_bytes()])

    try:
        if mode == "async":
            return asyncio.run(receive()), attempt
        with httpx.Client(transport=attempt) as http, http.stream("GET", url) as response:
            return b"".join(response.iter_bytes()), attempt
    except Exception as exc:  # noqa: BLE001  whatever the client raises
        raise attempt.error_for(exc) from None


both = pytest.mark.parametrize("mode", MODES)
each = pytest.mark.parametrize("client", CLIENTS)


@both
@each
def test_an_answer_is_fetched(client, mode):
    """Body, status and headers are there, and the next attempt uses the same connection."""
    with (
        serving(says(b"hello", **{"X-Request-Id": "r"})) as service,
        http_transport(service.url, client=client) as made,
    ):
        bodies = [fetch(made, AttemptTimeouts(5), client, mode) for _ in range(2)]
    body, attempt = bodies[0]
    assert (body, attempt.status, attempt.headers["x-request-id"], attempt.has_begun) == (b"hello", 200, "r", True)
    assert service.connections == (1 if mode == "sync" else 2)  # each event loop has connections of its own
    assert b"accept-encoding: gzip, deflate" in service.requests[0].lower()


@both
@each
def test_a_body_that_drips_ends_with_the_attempt(client, mode):
    """A limit does not begin anew with each byte."""
    with serving(drips) as service, http_transport(service.url, client=client) as made:
        began = time.monotonic()
        with pytest.raises(ProviderTimeoutError) as caught:
            fetch(made, AttemptTimeouts(0.3), client, mode)
        assert time.monotonic() - began < 0.3 + SLACK_S
        assert caught.value.phase == "total"
        assert service.hung_up.wait(5)


@both
@each
@pytest.mark.parametrize("phase", ["first_token", "total"])
def test_a_service_that_says_nothing_ends_a_phase(client, mode, phase):
    """The wait for the first token begins when the request is sent."""
    limits = {"connect_timeout_s": 4.0, "first_token_timeout_s": 0.2 if phase == "first_token" else 4.0}
    with serving(is_silent) as service, http_transport(service.url, client=client) as made:
        began = time.monotonic()
        with pytest.raises(ProviderTimeoutError) as caught:
            fetch(made, AttemptTimeouts(0.5 if phase == "total" else 4.0, **limits), client, mode)
        assert (caught.value.phase, time.monotonic() - began < 0.5 + SLACK_S) == (phase, True)


@both
@each
def test_connecting_has_a_limit(client, mode):
    """An address that does not answer is given up in time."""
    with blackhole() as port, http_transport(f"http://127.0.0.1:{port}", client=client) as made:
        began = time.monotonic()
        with pytest.raises(ProviderTimeoutError) as caught:
            fetch(made, AttemptTimeouts(5, connect_timeout_s=0.3), client, mode)
        assert (caught.value.phase, time.monotonic() - began < 0.3 + SLACK_S) == ("connect", True)


@both
@each
def test_a_look_up_that_hangs_has_a_limit(client, mode):
    """The resolver knows no timeout, so it runs in a thread that can be left."""
    hang = threading.Event()
    look_up = lambda _host, _port: [str(hang.wait(30))]  # noqa: E731
    with http_transport("http://osprey.test", client=client, look_up=look_up) as made:
        began = time.monotonic()
        with pytest.raises(ProviderTimeoutError) as caught:
            fetch(made, AttemptTimeouts(5, connect_timeout_s=0.2), client, mode)
        assert (caught.value.phase, time.monotonic() - began < 0.2 + SLACK_S) == ("connect", True)
    hang.set()


@both
@each
def test_addresses_share_the_time_to_connect(client, mode):
    """One that is dead leaves time for the next."""
    with serving(says()) as service:
        port = int(service.url.rpartition(":")[2])
        url = f"http://osprey.test:{port}"
        look_up = lambda _host, _port: ["127.0.0.2", "127.0.0.1"]  # noqa: E731
        with http_transport(url, client=client, look_up=look_up) as made:
            assert fetch(made, AttemptTimeouts(5), client, mode)[0] == b"hello"


@both
@each
def test_a_service_that_is_not_there_was_not_reached(client, mode):
    """Refused connections and unknown hosts count against the provider."""

    def unknown(_host, _port):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    for url in (f"http://127.0.0.1:{closed_port()}", "http://osprey.test"):
        with http_transport(url, client=client, look_up=unknown) as made:
            with pytest.raises(ProviderUnavailableError) as caught:
                fetch(made, AttemptTimeouts(5), client, mode)
            assert caught.value.reached is False


@both
@each
def test_an_answer_that_is_cut_is_an_error(client, mode):
    """After its head has come."""

    def cut(connection):
        connection.sendall(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nhalf")
        connection.shutdown(socket.SHUT_RDWR)

    with (
        serving(cut) as service,
        http_transport(service.url, client=client) as made,
        pytest.raises(InvalidReplyError, match="cut"),
    ):
        fetch(made, AttemptTimeouts(5), client, mode)


@both
@each
def test_answers_are_decompressed_within_a_limit(client, mode):
    """A small body may become a huge one."""
    answer = says(gzip.compress(b"x" * 100_000), **{"content-encoding": "gzip"})
    with serving(answer) as service, http_transport(service.url, client=client) as made:
        body, attempt = fetch(made, AttemptTimeouts(5), client, mode)
        assert (len(body), "content-encoding" in attempt.headers) == (100_000, False)
        with pytest.raises(InvalidReplyError, match="larger"):
            fetch(made, AttemptTimeouts(5), client, mode, max_answer_bytes=99_999)


@both
@each
@pytest.mark.parametrize("encoding", ["", "br"])
def test_the_body_of_an_error_is_read_as_far_as_it_helps(client, mode, encoding):
    """The rest after 64 KiB is not read, and an unknown compression does not hide the status."""
    headers = {"content-encoding": encoding} if encoding else {}
    answer = says(b"x" * 200_000, status=503, **headers)
    with serving(answer) as service, http_transport(service.url, client=client) as made:
        body, attempt = fetch(made, AttemptTimeouts(5), client, mode)
    assert (attempt.status, attempt.has_begun, len(body) <= 64 * 1024) == (503, False, True)


@both
@each
@pytest.mark.parametrize("at_once", [True, False])
def test_an_answer_without_a_request_is_not_used(client, mode, at_once):
    """What was in the buffer before the request was sent belongs to another one."""
    httpx = import_module(client)

    def twice(connection):
        answers = b"".join(b"HTTP/1.1 200 X\r\ncontent-length: 5\r\n\r\n" + body for body in (b"first", b"other"))
        pieces = [answers] if at_once else [answers[:-42], answers[-42:]]
        for piece in pieces:
            connection.sendall(piece)

    async def receive(made, url):
        texts = []
        for _ in range(2):
            attempt = made.attempt(AttemptTimeouts(5))
            async with httpx.AsyncClient(transport=attempt) as http:
                with suppress(httpx.RemoteProtocolError):
                    texts.append((await http.get(url)).text)
            time.sleep(0.05)  # noqa: ASYNC251  the loop is not to read what the service sends now
        return texts

    with serving(twice) as service, http_transport(service.url, client=client) as made:
        if mode == "async":
            texts = asyncio.run(receive(made, service.url))
        else:
            texts = []
            for _ in range(2):
                with suppress(ProviderUnavailableError):
                    texts.append(fetch(made, AttemptTimeouts(5), client, mode)[0].decode())
                time.sleep(0.05)
    assert "other" not in texts


@each
async def test_cancelling_closes_the_connection(client):
    """The service notices at once."""
    httpx = import_module(client)
    with serving(is_silent) as service:
        async with http_transport(service.url, client=client) as made:
            http = httpx.AsyncClient(transport=made.attempt(AttemptTimeouts(30)))
            task = asyncio.create_task(http.get(service.url))
            assert await asyncio.to_thread(service.was_called.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(service.hung_up.wait, 5)


@each
async def test_a_stream_that_is_closed_halfway_closes_its_connection(client):
    """Nothing is read to the end for its own sake."""
    httpx = import_module(client)
    with serving(drips) as service:
        async with http_transport(service.url, client=client) as made:
            async with (
                httpx.AsyncClient(transport=made.attempt(AttemptTimeouts(30))) as http,
                http.stream("GET", service.url) as response,
            ):
                async for _ in response.aiter_bytes():
                    break
            assert await asyncio.to_thread(service.hung_up.wait, 5)


@each
async def test_an_iterator_that_is_dropped_leaves_closing_to_the_body(client):
    """Some clients drop their iterators; closing the response then closes the connection, without a warning."""
    httpx = import_module(client)
    with serving(drips) as service:
        async with http_transport(service.url, client=client) as made:
            response = await made.attempt(AttemptTimeouts(30)).handle_async_request(httpx.Request("GET", service.url))
            parts = aiter(response.stream)
            assert await anext(parts) == b"x"
            del parts
            gc.collect()
            await response.stream.aclose()
            assert await asyncio.to_thread(service.hung_up.wait, 5)


@each
def test_a_long_lived_client_sends_within_the_active_attempt(client):
    """Each request belongs to the attempt whose block it is sent in."""
    httpx = import_module(client)
    with serving(says()) as service, httpx.Client(transport=http_transport(service.url, client=client)) as http:
        for _ in range(2):
            attempt = http._transport.attempt(AttemptTimeouts(5))
            with attempt.activate():
                assert http.get(service.url).text == "hello"
            assert attempt.status == 200
        with pytest.raises(RuntimeError, match="activate"):
            http.get(service.url)
    assert service.connections == 1


@both
@each
def test_the_proxy_of_the_environment_is_used_for_tls_alone(client, mode):
    """Without TLS the proxy would read the key; its refusal says that the service was not reached."""
    with serving(says(b"", status=403)) as proxy:
        environ = {"https_proxy": proxy.url.replace("//", "//user:word@"), "http_proxy": proxy.url}
        with (
            http_transport("https://osprey.test", client=client, environ=environ) as made,
            pytest.raises(ProviderUnavailableError) as caught,
        ):
            fetch(made, AttemptTimeouts(5), client, mode)
        assert caught.value.reached is False
        assert proxy.requests[0].startswith(b"CONNECT osprey.test:443")
        assert b"proxy-authorization: basic" in proxy.requests[0].lower()
        with serving(says()) as service, http_transport(service.url, client=client, environ=environ) as made:
            assert fetch(made, AttemptTimeouts(5), client, mode)[0] == b"hello"
    assert len(proxy.requests) == 1


@pytest.fixture
def tls():
    """Return what a service needs to speak TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context


@both
@each
def test_tls_is_used_with_the_certificates_of_the_environment(client, mode, tls, monkeypatch):
    """The limits hold behind TLS, and a service that is not trusted gets no request."""
    with serving(drips, tls) as service:
        with (
            http_transport(service.url, client=client, environ={}) as made,
            pytest.raises(UnusableProviderError, match="SSL_CERT_FILE"),
        ):
            fetch(made, AttemptTimeouts(5), client, mode)
        assert not service.requests
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        with (
            http_transport(service.url, client=client, environ={}) as made,
            pytest.raises(ProviderTimeoutError) as caught,
        ):
            fetch(made, AttemptTimeouts(0.4), client, mode)
        assert (caught.value.phase, len(service.requests)) == ("total", 1)


@both
@each
def test_a_handshake_that_never_ends_counts_as_connecting(client, mode):
    """A service that accepts the connection and knows nothing of TLS gets the time to connect, and no more."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        with (
            http_transport(url, client=client, environ={}) as made,
            pytest.raises(ProviderTimeoutError) as caught,
        ):
            fetch(made, AttemptTimeouts(5, connect_timeout_s=0.3, first_token_timeout_s=0.01), client, mode)
    assert caught.value.phase == "connect"


def tunnels_to(port):
    """Answer CONNECT, and relay all bytes between the client and a port."""

    def copy(source, target):
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def answer(connection):
        with socket.create_connection(("127.0.0.1", port)) as service:
            connection.sendall(b"HTTP/1.1 200 X\r\n\r\n")
            threading.Thread(target=copy, args=(service, connection), daemon=True).start()
            copy(connection, service)

    return answer


@both
@each
def test_a_service_is_reached_through_a_proxy(client, mode, tls, monkeypatch):
    """The wait for the first token begins after the TLS handshake behind the proxy."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with serving(says(), tls) as service, serving(tunnels_to(service.port)) as proxy:
        environ = {"https_proxy": proxy.url}
        with http_transport(service.url, client=client, environ=environ) as made:
            assert fetch(made, AttemptTimeouts(5), client, mode)[0] == b"hello"
    assert proxy.requests[0].startswith(b"CONNECT")


@both
@each
def test_a_service_that_reads_nothing_ends_with_the_attempt(client, mode):
    """Writing a large request has the limits of the attempt too."""
    httpx = import_module(client)
    body = b"x" * 30_000_000

    async def asend(attempt, url):
        async with httpx.AsyncClient(transport=attempt) as http:
            await http.post(url, content=body)

    def send(attempt, url):
        if mode == "async":
            asyncio.run(asend(attempt, url))
        else:
            httpx.Client(transport=attempt).post(url, content=body)

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with http_transport(url, client=client) as made:
            attempt = made.attempt(AttemptTimeouts(0.5))
            began = time.monotonic()
            with pytest.raises(httpx.WriteTimeout) as caught:
                send(attempt, url)
    assert time.monotonic() - began < 0.5 + SLACK_S
    assert attempt.error_for(caught.value).phase == "total"


@each
def test_nothing_is_left_to_import_in_the_first_request(client):
    """A process may be forked during another thread's first request: no import is under way then."""
    script = """
import asyncio, socket, sys, threading
from kickai_providers_core.authoring import AttemptTimeouts, http_transport

listener = socket.create_server(("127.0.0.1", 0))
def serve():
    connection, _ = listener.accept()
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")
threading.Thread(target=serve, daemon=True).start()
asyncio.run(asyncio.sleep(0))
url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
transport = http_transport(url, client=sys.argv[1])
request = sys.modules[sys.argv[1]].Request("GET", url)
before = set(sys.modules)
async def fetch():
    response = await transport.attempt(AttemptTimeouts(30)).handle_async_request(request)
    assert await response.aread() == b"ok"
    await transport.aclose()
asyncio.run(fetch())
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", script, client], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_cannot_be_used_is_named(monkeypatch, tmp_path):
    """A missing library, a wrong proxy and a wrong certificate file."""
    monkeypatch.setitem(__import__("sys").modules, "httpx", None)
    with pytest.raises(UnusableProviderError, match="httpx"):
        http_transport("http://osprey.test")
    with pytest.raises(UnusableProviderError, match="https_proxy"):
        http_transport("https://osprey.test", environ={"https_proxy": "ftp://x"})
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    with pytest.raises(UnusableProviderError, match="SSL_CERT_FILE"):
        http_transport("https://osprey.test")


def test_without_tls_the_variables_do_not_matter(tmp_path):
    """A wrong proxy or certificate variable does not matter for an address that uses neither."""
    environ = {"ALL_PROXY": "ftp://x", "SSL_CERT_FILE": str(tmp_path / "gone.pem")}
    http_transport("http://127.0.0.1:1", environ=environ).close()
