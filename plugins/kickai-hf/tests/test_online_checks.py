"""The online checks of ``kickai doctor``: the requests that they send, and the problems that they report."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc

import pytest
from kickai_providers_core import Secret
from kickai_providers_core.testing.chat_completions.faults import CHUNKED, CONTINUE, Body, Endless, RawBytes
from kickai_providers_core.testing.faults import Drip, Fault, FaultServer, Response, Silence, SlowHeaders, Status
from kickai_providers_core.testing.faults.encoding import compress_repeated
from kickai_providers_core.testing.faults.exchange import chunk

from kickai_hf.online_checks import MAX_RESPONSE_BYTES, OnlineCheck
from kickai_hf.plugin import plugin
from kickai_hf.settings import HuggingFaceSettings

TOKEN = Secret("hf_canary")
LIVE = {
    "novita": ("live", "conversational"),
    "together": ("error", "conversational"),
    "groq": ("live", "conversational"),
}


class Hub(Fault):
    """A Hub with some models that accepts one token."""

    def __init__(self, models=None, *, accepts="hf_canary", listed=True) -> None:
        super().__init__()
        for name, value in {"models": models or {}, "accepts": accepts, "listed": listed}.items():
            object.__setattr__(self, name, value)

    async def play(self, exchange):
        """Answer one request."""
        await exchange.respond(self.answer(exchange.request))

    def answer(self, request):
        """Return the Hub's answer."""
        path, _, query = request.path.partition("?")
        if request.headers.get("authorization") != f"Bearer {self.accepts}":
            return Response.json({"error": "Invalid credentials in Authorization header"}, status=401)
        if path == "/api/whoami-v2":
            return Response.json({"type": "user", "name": "ann"})
        if path == "/api/models":
            author = "org" if "author=org" in query else ""
            served = [name for name, mapping in self.models.items() if mapping and name.startswith(author)]
            return Response.json([{"id": name} for name in served[:3]])
        model = path.removeprefix("/api/models/")
        if model not in self.models:
            return Response.json({"error": "Repository not found"}, status=404)
        entries = {n: {"status": s, "task": t, "providerId": "x"} for n, (s, t) in self.models[model].items()}
        mapping = [{"provider": name, **entry} for name, entry in entries.items()] if self.listed else entries
        return Response.json({"id": model, "inferenceProviderMapping": mapping})


class HubWire:
    """The answers of a Hub that fails; `Hub` answers as a healthy one."""

    def reply(self, *_):
        """Return an answer that is long enough to send byte by byte."""
        return Response.json({"name": "ann" * 100})

    def error(self, _request, status, _kind):
        """Return an error without a body."""
        return Response(status=status)

    def wants_stream(self, _):
        """Return False: the Hub has no streams."""
        return False


@pytest.fixture
def hub():
    """Serve a Hub on loopback."""
    with FaultServer(HubWire()) as server:
        server.default = Hub({"org/m": LIVE, "org/old": {}, "org/new": LIVE, "other/x": LIVE})
        yield server


def settings_for(hub, **changes):
    """Return the settings of an instance whose Hub is the server."""
    return HuggingFaceSettings(**{"token": TOKEN, "hub_url": hub.url, "model": "org/m", "timeout_s": 5.0, **changes})


def validate(hub, **changes):
    """Return the problems that an online check finds."""
    return list(plugin.kickai_validate_provider(settings=settings_for(hub, **changes), online=True))


@pytest.mark.parametrize("listed", [True, False])
def test_a_served_model_yields_a_note(listed, hub):
    """The note names the inference providers; both forms of the Hub's answer are read."""
    hub.default = Hub({"org/m": LIVE}, listed=listed)
    (note,) = validate(hub)
    assert (note.severity, str(note)[:26]) == ("note", "model: org/m is served by ")
    assert [problem.severity for problem in validate(hub, model="org/m:groq")] == ["note"]
    assert [problem.severity for problem in validate(hub, model="org/m:cheapest")] == ["note"]
    assert [problem.severity for problem in validate(hub, inference_provider="novita")] == ["note"]
    assert [request.path for request in hub.requests[:2]] == [
        "/api/whoami-v2",
        "/api/models/org/m?expand=inferenceProviderMapping",
    ]


def test_one_check_uses_one_connection(hub):
    """All requests of a check share a connection."""
    validate(hub, model="org/old")
    assert len(hub.requests) == 4
    assert hub.accepted_connections == 1


def test_a_rate_limit_on_whoami_does_not_end_the_check(hub):
    """That endpoint has a strict limit, which says nothing about the token."""

    class Strict(Hub):
        def answer(self, request):
            return Response(status=429) if "whoami" in request.path else super().answer(request)

    hub.default = Strict({"org/m": {}})
    (problem,) = validate(hub)
    assert problem.path == "model"


def test_providers_of_a_model_have_a_state(hub):
    """Each inference provider is returned with its status, whether it is available or not."""
    settings = settings_for(hub)
    with OnlineCheck(settings) as check:
        found = check.list_providers("org/m")
    assert [(each.name, each.status, each.is_available) for each in found] == [
        ("novita", "live", True),
        ("together", "error", False),
        ("groq", "live", True),
    ]


@pytest.mark.parametrize(("changes", "path"), [({}, "token"), ({"token": None, "hub_token": TOKEN}, "hub_token")])
def test_a_refused_token_is_a_problem(changes, path, hub):
    """The problem names the setting and does not show the token; no further request is made."""
    hub.default = Hub(accepts="hf_other")
    (problem,) = validate(hub, **changes)
    assert (problem.path, problem.severity) == (path, "error")
    assert "settings/tokens" in problem.hint
    assert "canary" not in str(problem)
    assert len(hub.requests) == 1


def test_a_model_that_no_provider_serves_is_a_problem(hub):
    """The hint names models that are served now, those of the same author first."""
    (problem,) = validate(hub, model="org/old")
    assert problem.path == "model"
    assert "none has it" in problem.message
    assert problem.hint == "use org/m, org/new, other/x instead"


@pytest.mark.parametrize(
    "entry", [("staging", "conversational"), ("error", "conversational"), ("live", "text-to-image")]
)
def test_an_unavailable_provider_does_not_count(entry, hub):
    """A provider that fails or serves another task is named with its state."""
    hub.default = Hub({"org/m": {"novita": entry}})
    (problem,) = validate(hub)
    assert f"novita: {entry[0]}, for {entry[1]}" in problem.message


def test_an_unknown_model_is_a_problem(hub):
    """A misspelt model is reported with models that are served."""
    (problem,) = validate(hub, model="org/mm")
    assert (problem.path, problem.severity) == ("model", "error")
    assert problem.hint.startswith("use org/m, ")


@pytest.mark.parametrize(
    ("changes", "path"),
    [({"model": "org/m:together"}, "model"), ({"inference_provider": "together"}, "inference_provider")],
)
def test_a_provider_that_does_not_serve_the_model_is_a_problem(changes, path, hub):
    """The hint names the providers that do."""
    (problem,) = validate(hub, **changes)
    assert (problem.path, problem.hint) == (path, "Served by novita, groq")


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
GZIP = {"content-type": "application/json", "content-encoding": "gzip"}
BOMB = compress_repeated(b'{"id": "', b"0" * 1_000_000, 100)
ERROR_CHUNKED = CHUNKED.replace(b"200 OK", b"500 Error")
FLOODS = {
    "a plain body without end": Endless(b"0" * 65_536, HEAD + b"\r\n"),
    "a chunked body without end": Endless(chunk(b"0" * 65_536), CHUNKED),
    "chunks of one byte without end": Endless(chunk(b"0") * 1000, CHUNKED),
    "one byte at a time": Endless(chunk(b" "), CHUNKED, 0.02),
    "a plain body of 4 MB": RawBytes(HEAD + b"content-length: 4000000\r\n\r\n" + b"0" * 4_000_000),
    "a gzip bomb of 100 MB": Body(BOMB, GZIP),
    "a gzip bomb in an error": RawBytes(
        b"HTTP/1.1 503 No\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(BOMB) + BOMB
    ),
    "an error's body without end": Endless(chunk(b"0" * 65_536), ERROR_CHUNKED),
    "an encoding that was not requested": Body(b"0" * 1000, {**GZIP, "content-encoding": "br"}),
    "headers without end": Endless(b"x-a: " + b"0" * 8000 + b"\r\n", b"HTTP/1.1 200 OK\r\n"),
    "interim answers without end": Endless(CONTINUE * 100, CONTINUE),
    "JSON nested without end": Body(b"[" * 500_000, {"content-type": "application/json"}),
}


@pytest.mark.parametrize(
    "own_server",
    [pytest.param(False, id="the Hub"), pytest.param(True, id="a server at base_url", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("flood", FLOODS)
def test_an_online_check_reads_a_limited_size_in_a_limited_time(flood, own_server, hub):
    """A service that sends too much, or too slowly, is a warning; its bytes are not collected."""
    hub.default = FLOODS[flood]
    changes = {"base_url": f"{hub.url}/v1"} if own_server else {}
    tracemalloc.start()
    began = time.monotonic()
    try:
        (problem,) = validate(hub, timeout_s=1.0, **changes)
        took_s = time.monotonic() - began
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (problem.path, problem.severity) == ("base_url" if own_server else "hub_url", "warning")
    assert took_s < 10.0
    assert peak_bytes < 16 * MAX_RESPONSE_BYTES
    assert len(str(problem)) < 1000


@pytest.mark.timing
def test_the_time_of_a_check_covers_all_its_requests(hub):
    """A Hub that answers each request slowly does not get the full time for each of them."""

    class Slow(Hub):
        async def play(self, exchange):
            await asyncio.sleep(0.4)
            await super().play(exchange)

    hub.default = Slow({"org/old": {}})
    began = time.monotonic()
    assert validate(hub, model="org/old", timeout_s=1.0)
    assert time.monotonic() - began < 1.5


def test_names_from_the_hub_are_shortened_and_printable(hub):
    """Long names, control characters and long lists do not reach the terminal."""
    many = {f"p{number}\x1b[2J" + "x" * 1000: ("live", "conversational") for number in range(100)}
    hub.default = Hub({"org/m": many})
    (note,) = validate(hub)
    assert "and 80 more" in str(note)
    assert len(str(note)) < 5000
    assert str(note).isprintable()


@pytest.mark.parametrize(
    "fault", [Silence(), Drip(0.05), SlowHeaders(0.05), Status(500, body=b"down"), Status(429, body=b"{}")]
)
def test_a_hub_that_does_not_answer_is_a_warning(fault, hub):
    """The router may work while the Hub does not; the check ends in time."""
    hub.default = fault
    (problem,) = validate(hub, timeout_s=0.3)
    assert (problem.path, problem.severity) == ("hub_url", "warning")


@pytest.mark.parametrize("answer", [[], 7, None, {"inferenceProviderMapping": 3}, {"inferenceProviderMapping": [3]}])
def test_an_answer_of_another_shape_means_that_no_provider_serves_the_model(answer, hub):
    """Unexpected JSON raises nothing."""

    class Strange(Hub):
        def answer(self, request):
            return Response.json(answer)

    hub.default = Strange()
    (problem,) = validate(hub)
    assert problem.path == "model"


def test_offline_validation_sends_nothing(hub):
    """No request is made without ``online``, nor when the settings cannot be used."""
    settings = HuggingFaceSettings(token=TOKEN, hub_url=hub.url)
    assert list(plugin.kickai_validate_provider(settings=settings, online=False)) == []
    assert [p.path for p in validate(hub, token=None)] == ["token"]
    assert hub.requests == []


class Server(Fault):
    """A server that lists its models to clients with its token."""

    def __init__(self, names, token="secret") -> None:  # noqa: S107
        super().__init__()
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "token", token)

    async def play(self, exchange):
        """Answer one request."""
        if exchange.request.headers.get("authorization") != f"Bearer {self.token}":
            await exchange.respond(Response.json({"error": "no"}, status=401))
        elif self.names is None:
            await exchange.respond(Response(status=404, body=b"not found"))
        else:
            await exchange.respond(Response.json({"data": [{"id": name} for name in self.names]}))


def validate_server(hub, **changes):
    """Return the problems of an instance with a ``base_url``, and the paths that were requested."""
    changes = {"base_url": f"{hub.url}/v1", "token": Secret("secret"), "hub_token": TOKEN, **changes}
    problems = validate(hub, hub_url="https://hub.invalid", **changes)
    assert TOKEN.reveal() not in json.dumps([dict(request.headers) for request in hub.requests])
    return problems, [request.path for request in hub.requests]


def test_a_server_is_asked_for_its_models(hub):
    """The request goes to the server with its own token, and the Hub gets none."""
    hub.default = Server(["org/m", "b"])
    assert validate_server(hub) == ([], ["/v1/models"])
    assert validate_server(hub, model=None)[0] == []


def test_a_model_that_a_server_does_not_list_is_a_warning(hub):
    """It is not an error, since some servers answer to any name."""
    hub.default = Server(["a", "b", "c", "d"])
    ((problem,), _) = validate_server(hub)
    assert (problem.path, problem.severity, problem.hint) == ("model", "warning", "It lists a, b, c")


@pytest.mark.parametrize(("token", "expected"), [(Secret("wrong"), "does not accept"), (None, "requires a key")])
def test_a_server_that_refuses_the_token_is_a_problem(token, expected, hub):
    """The message says whether the token is wrong or missing."""
    hub.default = Server([])
    ((problem,), _) = validate_server(hub, token=token)
    assert problem.path == "token"
    assert expected in problem.message


def test_a_server_without_a_list_of_models_is_no_problem(hub):
    """Not every server has that endpoint."""
    hub.default = Server(None)
    assert validate_server(hub)[0] == []
    assert validate_server(hub, task="text_generation")[1][-1] == "/v1/info"


def test_a_server_that_cannot_be_reached_is_a_warning(hub):
    """It may be up later."""
    ((problem,), _) = validate_server(hub, base_url="http://127.0.0.1:9")
    assert (problem.path, problem.severity) == ("base_url", "warning")
