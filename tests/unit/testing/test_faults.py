"""The fault server: faults of a service, on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import socket
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from kickai_providers_core.testing import faults
from kickai_providers_core.testing.faults import (
    CloseEarly,
    Cut,
    Delay,
    Drip,
    EmptyBody,
    ErrorPiece,
    Fault,
    FaultServer,
    HugeBody,
    Malformed,
    MalformedPiece,
    NotHttp,
    Ok,
    Recorded,
    Redirect,
    RedirectLoop,
    Reset,
    Response,
    ShortBody,
    Silence,
    SlowFirstToken,
    SlowHeaders,
    Stall,
    Status,
    WrongContentType,
    WrongShape,
    blackhole,
    closed_port,
)


class SseWire:
    """A service of server-sent events."""

    content_type = "text/event-stream"

    def reply(self, request, text, finish="stop"):
        """Answer with one JSON object."""
        return Response.json({"text": text, "finish": finish})

    def stream(self, request, pieces, finish="stop"):
        """Answer with one event a piece, and one for the end."""
        events = [self.event({"text": piece}) for piece in pieces]
        return Response(headers={"content-type": self.content_type}), [*events, self.event({"finish": finish})]

    def event(self, value):
        """Frame one event."""
        return b"data: " + json.dumps(value).encode() + b"\n\n"

    def error(self, request, status, kind):
        """Name the kind."""
        return Response.json({"error": kind or "usual"}, status=status)

    def wants_stream(self, request):
        """Read the request's own word for it."""
        return bool(request.json().get("stream"))


class NdjsonWire(SseWire):
    """A service of JSON lines."""

    content_type = "application/x-ndjson"

    def event(self, value):
        """Frame one event."""
        return json.dumps(value).encode() + b"\n"


class ArrayWire(SseWire):
    """A service whose stream is one JSON array."""

    content_type = "application/json"

    def stream(self, request, pieces, finish="stop"):
        """Answer with one event a piece, and one for the end."""
        events = [b",\r\n" + json.dumps({"text": piece}).encode() for piece in pieces]
        events[0] = b"[" + events[0].removeprefix(b",\r\n")
        return Response(headers={"content-type": self.content_type}), [
            *events,
            b",\r\n" + json.dumps({"finish": finish}).encode(),
            b"]",
        ]


WIRES = [SseWire(), NdjsonWire(), ArrayWire()]


@pytest.fixture
def server():
    """Run a server of server-sent events."""
    with FaultServer(SseWire()) as running:
        yield running


def ask(server, *, stream=False, timeout_s=5.0, path="/ask"):
    """Return the status and the body of one request on a connection of its own."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout_s)
    try:
        client.request("POST", path, json.dumps({"stream": stream}), {"X-Canary": "one"})
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()


def raw(server, *, stream=False, timeout_s=5.0):
    """Return all bytes that come until the end of the connection, and how it ended."""
    body = json.dumps({"stream": stream})
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s) as client:
        client.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        got = b""
        try:
            while data := client.recv(65536):
                got += data
        except ConnectionResetError:
            return got, "rst"
        except TimeoutError:
            return got, "open"
        return got, "fin"


def test_a_good_answer_is_the_default(server):
    """A request without a script is answered well, again and again."""
    assert [ask(server) for _ in range(2)] == [(200, b'{"text": "pong", "finish": "stop"}')] * 2


def test_the_script_is_followed_once_and_in_order(server):
    """Each next request takes one fault, and the default comes back."""
    server.script(Status(503, headers={"retry-after": "2"}), Ok("hello"))
    assert [ask(server)[0], json.loads(ask(server)[1])["text"], ask(server)[0]] == [503, "hello", 200]


def test_requests_are_recorded_as_they_came(server):
    """Method, path, lower-case headers and the body are kept."""
    ask(server, path="/v1/x?alt=sse")
    (request,) = server.requests
    assert (request.method, request.path, request.headers["x-canary"]) == ("POST", "/v1/x?alt=sse", "one")
    assert request.json() == {"stream": False}


def test_a_chunked_request_is_put_together(server):
    """A body that comes in chunks is recorded whole."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    client.request("POST", "/", iter([b'{"stream"', b": false}"]), encode_chunked=True)
    assert client.getresponse().read()
    client.close()
    assert server.requests[0].json() == {"stream": False}


def test_connections_are_kept_alive_and_counted(server):
    """Many requests share one connection until the client closes it."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    for _ in range(3):
        client.request("POST", "/", "{}")
        client.getresponse().read()
    assert (server.open_connections, server.accepted_connections, len(server.requests)) == (1, 1, 3)
    client.close()
    assert server.wait_closed(2)
    assert server.open_connections == 0


@pytest.mark.parametrize("wire", WIRES)
def test_streams_carry_every_event(wire):
    """Every piece comes, then the end, in the form of the wire."""
    with FaultServer(wire) as server:
        server.script(Ok(pieces=("a", "b")))
        status, body = ask(server, stream=True)
    events = wire.stream(None, ("a", "b"))[1]
    assert (status, body) == (200, b"".join(events))


def test_finish_reasons_reach_the_wire(server):
    """An answer may stop for another reason than its end."""
    server.script(Ok("hi", finish="length"))
    assert json.loads(ask(server)[1])["finish"] == "length"


def test_statuses_speak_the_vendors_words(server):
    """A status has the wire's body for its kind, unless another is given."""
    server.script(Status(429, "quota"), Status(500, body=b"<html>"))
    assert [ask(server), ask(server)] == [(429, b'{"error": "quota"}'), (500, b"<html>")]


@pytest.mark.parametrize("fault", [Silence(), SlowHeaders(0.05), Drip(0.05)])
@pytest.mark.parametrize("stream", [False, True])
def test_slow_faults_outlast_the_client(server, fault, stream):
    """Nothing whole comes, however long the client waits, and the connection frees when it goes."""
    server.script(fault)
    got, end = raw(server, stream=stream, timeout_s=0.02 if not isinstance(fault, Silence) else 0.2)
    assert end == "open"
    assert not got.endswith((b"}", b"0\r\n\r\n"))
    assert server.wait_closed(2)


@pytest.mark.parametrize("fault", [SlowHeaders(0.0), Drip(0.0), Delay(0.05)])
@pytest.mark.parametrize("stream", [False, True])
def test_slow_answers_are_whole_in_the_end(server, fault, stream):
    """A client with patience gets the good answer."""
    server.default = Ok("Grüße ⚽")
    whole = ask(server, stream=stream)
    server.script(fault)
    assert ask(server, stream=stream) == whole


@pytest.mark.parametrize(
    ("fault", "end"), [(CloseEarly(), "fin"), (CloseEarly(40), "fin"), (Reset(), "rst"), (Reset(40), "rst")]
)
@pytest.mark.parametrize("stream", [False, True])
def test_connections_end_early(server, fault, end, stream):
    """The beginning comes, then FIN or RST."""
    server.script(fault)
    got, ended = raw(server, stream=stream)
    assert (len(got), ended) == (fault.after_bytes, end)


@pytest.mark.parametrize("stream", [False, True])
def test_a_short_body_is_incomplete(server, stream):
    """The client can tell that something is missing."""
    server.script(ShortBody())
    with pytest.raises(http.client.IncompleteRead):
        ask(server, stream=stream)


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (Malformed(), b'{"half": ['),
        (EmptyBody(), b""),
        (WrongContentType(), WrongContentType().body),
        (WrongShape([1]), b"[1]"),
        (HugeBody(200_000), b'"' + b"x" * 199_999),
    ],
)
def test_bodies_that_are_no_answer(server, fault, body):
    """A success whose body is something else comes as it was scripted."""
    server.script(fault)
    assert ask(server) == (200, body)


@pytest.mark.parametrize(("wire", "event"), list(zip(WIRES, [b"data: 1\n\n", b"1\n", b"[1"], strict=True)))
def test_a_wrong_shape_in_a_stream_is_an_event(wire, event):
    """A stream's events may be valid JSON that says nothing."""
    with FaultServer(wire) as server:
        server.script(WrongShape(1))
        assert ask(server, stream=True)[1].startswith(event)


def test_redirects_lead_away_or_nowhere(server):
    """A redirect names its location, and a loop never ends."""
    server.script(Redirect("http://127.0.0.1:9/x"), RedirectLoop())
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    places = []
    for path in ("/", "/", "/redirect-loop/1", "/redirect-loop/2"):
        client.request("POST", path, "{}")
        answer = client.getresponse()
        answer.read()
        places.append((answer.status, answer.headers["location"]))
    client.close()
    assert places == [
        (307, "http://127.0.0.1:9/x"),
        (307, "/redirect-loop/1"),
        (307, "/redirect-loop/2"),
        (307, "/redirect-loop/3"),
    ]


class Flood(Fault):
    """A header without end, as fast as the client reads."""

    async def play(self, exchange):
        await exchange.connection.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await exchange.connection.send(b"x-a: " + b"0" * 8000 + b"\r\n")


def test_a_flood_ends_when_its_client_goes():
    """The server stops, whether the last bytes reached the client or not."""
    for number in range(10):
        with FaultServer(SseWire(), Flood()) as server:
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                received = 0
                while received < 100_000 + 20_000 * number:
                    received += len(client.recv(65_536))
            assert server.wait_closed(60.0)


class Unread(Fault):
    """More than the kernel takes, and then the end."""

    async def play(self, exchange):
        sending = asyncio.create_task(exchange.connection.send(b"0" * 50_000_000))
        await asyncio.sleep(0)
        exchange.connection.close()
        assert not sending.done()


def test_the_server_stops_while_a_connection_closes():
    """The task of the connection has ended, and its last bytes have not been taken."""
    with contextlib.ExitStack() as clients:
        with FaultServer(SseWire(), Unread()) as server:
            client = clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.recv(1) == b"0"
            assert server.open_connections == 1
        assert server.open_connections == 0


@pytest.mark.slow
def test_a_client_that_connects_while_the_server_stops_leaves_nothing():
    """It gets a connection that is closed, or none; a socket that is left would be an error here."""

    def connect(port):
        with contextlib.suppress(OSError):
            while True:
                with socket.create_connection(("127.0.0.1", port), timeout=60):
                    continue

    for number in range(10):
        with FaultServer(SseWire()) as server:
            clients = [threading.Thread(target=connect, args=(server.port,)) for _ in range(3)]
            for client in clients:
                client.start()
            time.sleep(0.002 * (number % 5))
        for client in clients:
            client.join()
        assert server.open_connections == 0
    gc.collect()


def test_another_protocol_is_not_http(server):
    """The client gets an invalid status line."""
    server.script(NotHttp())
    with pytest.raises(http.client.BadStatusLine):
        ask(server)


def test_a_slow_first_token_comes_after_its_head(server):
    """The head of the stream is there before its first event."""
    server.script(SlowFirstToken(0.3))
    got, _ = raw(server, stream=True, timeout_s=0.1)
    assert got.endswith(b"\r\n\r\n")
    assert b"data:" not in got


def test_a_stall_keeps_its_connection(server):
    """A stalled stream is open but silent."""
    server.script(Stall(2))
    got, end = raw(server, stream=True, timeout_s=0.2)
    assert (got.count(b"data:"), end) == (2, "open")
    assert server.wait_closed(2)


@pytest.mark.parametrize(("how", "end", "tail"), [("fin", "fin", b"\n\n\r\n"), ("rst", "rst", b"\n\n\r\n")])
def test_cuts_break_the_connection(server, how, end, tail):
    """A cut stream lacks its last chunk."""
    server.script(Cut(1, how=how))
    got, ended = raw(server, stream=True)
    assert (got.count(b"data:"), ended, got.endswith(tail)) == (1, end, True)


def test_a_clean_cut_is_good_http(server):
    """A stream can end in good order without having said why."""
    server.script(Cut(1, how="clean"))
    assert ask(server, stream=True) == (200, b'data: {"text": "po"}\n\n')


@pytest.mark.parametrize(
    ("wire", "event"), list(zip(WIRES, [b'data: {"half": [\n\n', b'{"half": [\n', b',\r\n{"half": ['], strict=True))
)
def test_malformed_pieces_come_between_good_ones(wire, event):
    """The event that cannot be read is followed by the rest of the stream."""
    with FaultServer(wire) as server:
        server.script(MalformedPiece(1))
        body = ask(server, stream=True)[1]
    first, *others = wire.stream(None, Ok().parts)[1]
    assert body == first + event + b"".join(others)


@pytest.mark.parametrize(
    ("wire", "event"),
    list(
        zip(WIRES, [b'data: {"error": "quota"}\n\n', b'{"error": "quota"}\n', b',\r\n{"error": "quota"}]'], strict=True)
    ),
)
def test_error_pieces_end_the_stream(wire, event):
    """The service's error comes as an event after good ones, and nothing after it."""
    with FaultServer(wire) as server:
        server.script(ErrorPiece(1, "quota"))
        body = ask(server, stream=True)[1]
    assert body == wire.stream(None, Ok().parts)[1][0] + event


@pytest.mark.parametrize("fault", [Stall(), Cut(), MalformedPiece(), ErrorPiece(), SlowFirstToken(1)])
def test_a_fault_of_streams_needs_a_stream(fault):
    """Scripting a stream's fault for a whole answer raises an error."""
    with pytest.raises(ExceptionGroup) as raised, FaultServer(SseWire(), fault) as server:
        assert raw(server) == (b"", "fin")
    assert "the request does not ask for one" in str(raised.value.exceptions[0])


def test_errors_of_the_wire_are_raised_at_the_end():
    """What the author's own code raises is not swallowed by the server's thread."""

    class Broken(SseWire):
        def reply(self, request, text):
            """Fail."""
            raise KeyError(text)

    with pytest.raises(ExceptionGroup, match="the wire") as raised, FaultServer(Broken()) as server:
        assert raw(server) == (b"", "fin")
    assert isinstance(raised.value.exceptions[0], KeyError)


def test_a_closed_port_refuses():
    """Nobody listens there."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", closed_port()), timeout=2)


def test_a_black_hole_accepts_nothing():
    """Connecting hangs until the client gives up."""
    with blackhole() as port, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", port), timeout=0.3)


def test_many_clients_at_once(server):
    """Two hundred requests of sixteen threads all get their answer."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(server), range(200)))
    assert {status for status, _ in answers} == {200}
    assert len(server.requests) == 200
    assert server.wait_closed(2)


async def test_async_clients_at_once(server):
    """A hundred connections of one loop are open at a time, each answered."""

    async def client():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

    server.default = Delay(0.2)
    lines = await asyncio.gather(*(client() for _ in range(100)))
    assert set(lines) == {b"HTTP/1.1 200 OK\r\n"}


def test_nothing_is_left_behind():
    """After the block there is no thread, no listener and no open socket, and waiting clients are disconnected."""
    before = threading.active_count()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with socket.socket() as idle:
            with FaultServer(SseWire(), Silence()) as server:
                idle.connect(("127.0.0.1", server.port))
                waiting = threading.Thread(target=raw, args=(server,))
                waiting.start()
                assert server.wait_requests(1, 2)
            waiting.join(2)
            assert idle.recv(1) == b""
        gc.collect()
    assert not waiting.is_alive()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=2)


def test_it_starts_and_stops_quickly():
    """A test can afford a server of its own."""
    began = time.perf_counter()
    for _ in range(20):
        with FaultServer(SseWire()) as server:
            ask(server)
    assert time.perf_counter() - began < 25


def test_every_fault_is_exported():
    """The public names hold every fault there is."""
    kinds, todo = set(), [Fault]
    while todo:
        kinds.add(kind := todo.pop())
        todo += kind.__subclasses__()
    assert {kind.__name__ for kind in kinds if kind.__module__.startswith(faults.__name__)} <= set(faults.__all__)


def test_a_recorded_body_that_is_not_json_raises():
    """The JSON of a body that is none raises."""
    with pytest.raises(ValueError, match="Expecting"):
        Recorded(method="POST", path="/", headers={}, body=b"x").json()
