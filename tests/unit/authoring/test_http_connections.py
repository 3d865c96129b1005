"""When a connection is used again, and what counts as a whole answer: in both modes alike."""

import asyncio
import socket
import threading
from contextlib import aclosing, contextmanager, suppress

import httpx2
import pytest

from kickai_providers_core import InvalidReplyError, ProviderError, ProviderUnavailableError
from kickai_providers_core.authoring import AttemptTimeouts, http_transport

CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


@contextmanager
def serving(*pieces, closes=False):
    """Run a service that answers each request with the same pieces of bytes; yield its address and its connections."""
    connections = []

    def serve(connection):
        with suppress(OSError), connection:
            while connection.recv(65536):
                for piece in pieces:
                    connection.sendall(piece)
                if closes:
                    return

    def accept():
        with suppress(OSError):
            while True:
                connections.append(listener.accept()[0])
                threading.Thread(target=serve, args=(connections[-1],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", connections
        listener.shutdown(socket.SHUT_RDWR)


def fetch_twice(url, mode, method="GET"):
    """Send two requests over one transport, and return the bodies."""

    async def afetch(made):
        async with made:
            return [await fetch_one(made) for _ in range(2)]

    async def fetch_one(made):
        attempt = made.attempt(AttemptTimeouts(20))
        try:
            async with httpx2.AsyncClient(transport=attempt) as http:
                return (await http.request(method, url)).content
        except Exception as exc:  # noqa: BLE001  whatever the client raises
            raise attempt.error_for(exc) from None

    made = http_transport(url, client="httpx2")
    if mode == "async":
        return asyncio.run(afetch(made))
    bodies = []
    with made:
        for _ in range(2):
            attempt = made.attempt(AttemptTimeouts(20))
            try:
                bodies.append(httpx2.Client(transport=attempt).request(method, url).content)
            except Exception as exc:  # noqa: BLE001  as above
                raise attempt.error_for(exc) from None
    return bodies


both = pytest.mark.parametrize("mode", ["sync", "async"])


@both
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"5;x=y\r\nhello\r\n0\r\nx-more: 1\r\n\r\n", b"hello"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    ],
)
@pytest.mark.parametrize("is_split", [True, False])
def test_a_connection_is_used_again_after_a_whole_answer(mode, answer, body, is_split):
    """However its bytes arrive."""
    pieces = [answer[place : place + 1] for place in range(len(answer))] if is_split else [answer]
    with serving(*pieces) as (url, connections):
        assert fetch_twice(url, mode) == [body, body]
        assert len(connections) == 1


@both
@pytest.mark.parametrize(
    ("answer", "closes"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: x, Close\r\n\r\nhello", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: x\r\nconnection: close\r\n\r\nhello", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", False),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", True),
    ],
)
def test_a_connection_is_not_used_again_that_the_service_ends(mode, answer, closes):
    """It says so, or it speaks HTTP/1.0, or the end of the connection is that of the body."""
    with serving(answer, closes=closes) as (url, connections):
        assert fetch_twice(url, mode) == [b"hello", b"hello"]
        assert len(connections) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + b"x" * 17_000,
    ],
)
def test_bytes_after_an_answer_end_an_asynchronous_connection(answer):
    """They would be taken for the next answer."""
    with serving(answer + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother") as (url, connections):
        assert fetch_twice(url, "async") == [b"hello", b"hello"]
        assert len(connections) == 2


@both
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"5\r\nhello\r\n", InvalidReplyError),
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"5\r\nhello\r\n0\r\n", InvalidReplyError),
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"5\r\nhello, you\r\n0\r\n\r\n", InvalidReplyError),
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", InvalidReplyError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", InvalidReplyError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ncontent-length: 5\r\n\r\nhello", ProviderUnavailableError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello", ProviderUnavailableError),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", ProviderUnavailableError),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n", ProviderUnavailableError),
        (b"SSH-2.0-OpenSSH\r\n", ProviderUnavailableError),
        (b"", ProviderUnavailableError),
    ],
)
def test_an_answer_that_is_malformed_or_cut_is_an_error(mode, answer, error):
    """After its head it is a cut answer; before, a service that does not work."""
    with serving(answer, closes=True) as (url, _), pytest.raises(ProviderError) as caught:
        fetch_twice(url, mode)
    assert type(caught.value) is error


@both
def test_an_answer_to_head_has_no_body(mode):
    """Its size is that of the answer to GET."""
    with serving(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n") as (url, connections):
        assert fetch_twice(url, mode, "HEAD") == [b"", b""]
        assert len(connections) == 1


@both
def test_a_stream_that_is_not_read_to_its_end_is_not_followed_on_its_connection(mode):
    """Although the end is there already: a service may close its connections after streams without notice."""
    answer = b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"

    async def afirst(made):
        async with made:
            for _ in range(2):
                async with (
                    httpx2.AsyncClient(transport=made.attempt(AttemptTimeouts(20))) as http,
                    http.stream("GET", url) as response,
                    aclosing(response.aiter_raw()) as parts,
                ):
                    assert await anext(parts) == b"hello"

    with serving(answer) as (url, connections):
        made = http_transport(url, client="httpx2")
        if mode == "async":
            asyncio.run(afirst(made))
        else:
            with made:
                for _ in range(2):
                    http = httpx2.Client(transport=made.attempt(AttemptTimeouts(20)))
                    with http.stream("GET", url) as response:
                        assert next(response.iter_raw()) == b"hello"
        assert len(connections) == 2


@both
def test_what_arrives_together_with_a_fault_is_read_before_it(mode):
    """The error of a stream has the text before it, and whether there was any decides about a fallback."""
    answer = b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"5\r\nhello\r\nx\r\n"
    seen = []

    async def afetch(url):
        async with http_transport(url, client="httpx2") as made:
            attempt = made.attempt(AttemptTimeouts(20))
            async with httpx2.AsyncClient(transport=attempt) as http, http.stream("GET", url) as response:
                async for part in response.aiter_raw():
                    seen.append(part)  # noqa: PERF401  an error follows

    def fetch(url):
        with http_transport(url, client="httpx2") as made:
            http = httpx2.Client(transport=made.attempt(AttemptTimeouts(20)))
            with http.stream("GET", url) as response:
                seen.extend(response.iter_raw())

    with serving(answer) as (url, _), pytest.raises(httpx2.RemoteProtocolError):
        asyncio.run(afetch(url)) if mode == "async" else fetch(url)
    assert b"".join(seen) == b"hello"
