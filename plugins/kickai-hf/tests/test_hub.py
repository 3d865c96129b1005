"""What online checks ask of a Hub, or of a server of one's own, and what they make of the answers."""

from __future__ import annotations

import json

import pytest
from kickai_providers_core import Secret
from kickai_providers_core.testing.faults import Drip, Fault, FaultServer, Response, Silence, Status

from kickai_hf import plugin
from kickai_hf.hub import serving
from kickai_hf.settings import HuggingFaceSettings

TOKEN = Secret("hf_canary")
LIVE = {
    "novita": ("live", "conversational"),
    "together": ("error", "conversational"),
    "groq": ("live", "conversational"),
}


class Hub(Fault):
    """A Hub with models, and with one token that it accepts."""

    def __init__(self, models=None, *, accepts="hf_canary", listed=True) -> None:
        super().__init__()
        for name, value in {"models": models or {}, "accepts": accepts, "listed": listed}.items():
            object.__setattr__(self, name, value)

    async def play(self, exchange):
        """Answer one question."""
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
    """How a Hub in trouble answers; one that is well does so itself."""

    def reply(self, *_):
        """Return an answer that is long enough to drip."""
        return Response.json({"name": "ann" * 100})

    def error(self, _request, status, _kind):
        """Return an error without words."""
        return Response(status=status)

    def wants_stream(self, _):
        """Say that nobody asks a Hub for a stream."""
        return False


@pytest.fixture
def hub():
    """Serve a Hub on loopback."""
    with FaultServer(HubWire()) as server:
        server.default = Hub({"org/m": LIVE, "org/old": {}, "org/new": LIVE, "other/x": LIVE})
        yield server


def checked(hub, **told):
    """Return the problems that an online check finds."""
    settings = HuggingFaceSettings(**{"token": TOKEN, "hub_url": hub.url, "model": "org/m", "timeout_s": 5.0, **told})
    return list(plugin.kickai_validate_provider(settings=settings, online=True))


@pytest.mark.parametrize("listed", [True, False])
def test_a_model_that_is_served_is_no_problem(listed, hub):
    """A token that is accepted and a model that is served: who serves it is noted, in either form of answer."""
    hub.default = Hub({"org/m": LIVE}, listed=listed)
    (note,) = checked(hub)
    assert (note.severity, str(note)[:26]) == ("note", "model: org/m is served by ")
    assert [problem.severity for problem in checked(hub, model="org/m:groq")] == ["note"]
    assert [problem.severity for problem in checked(hub, model="org/m:cheapest")] == ["note"]
    assert [problem.severity for problem in checked(hub, inference_provider="novita")] == ["note"]
    assert [request.path for request in hub.requests[:2]] == [
        "/api/whoami-v2",
        "/api/models/org/m?expand=inferenceProviderMapping",
    ]


def test_a_hub_that_limits_questions_about_tokens_is_asked_on(hub):
    """The question whose token it is has a strict limit of its own, which says nothing about the token."""

    class Strict(Hub):
        def answer(self, request):
            return Response(status=429) if "whoami" in request.path else super().answer(request)

    hub.default = Strict({"org/m": {}})
    (problem,) = checked(hub)
    assert problem.path == "model"


def test_who_serves_a_model_can_be_asked(hub):
    """Each inference provider is told with its state."""
    settings = HuggingFaceSettings(token=TOKEN, hub_url=hub.url)
    assert [(one.provider, one.status, one.answers) for one in serving("org/m", settings)] == [
        ("novita", "live", True),
        ("together", "error", False),
        ("groq", "live", True),
    ]


@pytest.mark.parametrize(("told", "path"), [({}, "token"), ({"token": None, "hub_token": TOKEN}, "hub_token")])
def test_a_token_that_is_refused_is_told(told, path, hub):
    """The problem names the field, and neither it nor anything else shows the token; nothing more is asked."""
    hub.default = Hub(accepts="hf_other")
    (problem,) = checked(hub, **told)
    assert (problem.path, problem.severity) == (path, "error")
    assert "settings/tokens" in problem.hint
    assert "canary" not in str(problem)
    assert len(hub.requests) == 1


def test_a_model_that_nobody_serves_is_told_with_others(hub):
    """What to use instead are models that are served now, those of the same author first."""
    (problem,) = checked(hub, model="org/old")
    assert problem.path == "model"
    assert "nobody has it" in problem.message
    assert problem.hint == "use org/m, org/new, other/x instead"


@pytest.mark.parametrize(
    "entry", [("staging", "conversational"), ("error", "conversational"), ("live", "text-to-image")]
)
def test_a_provider_that_cannot_be_asked_does_not_count(entry, hub):
    """A provider that is in trouble, or serves something else, serves nobody; it is named with its state."""
    hub.default = Hub({"org/m": {"novita": entry}})
    (problem,) = checked(hub)
    assert f"novita: {entry[0]}, for {entry[1]}" in problem.message


def test_a_model_that_does_not_exist_is_told_with_others(hub):
    """A misspelt model is told, and what is served instead."""
    (problem,) = checked(hub, model="org/mm")
    assert (problem.path, problem.severity) == ("model", "error")
    assert problem.hint.startswith("use org/m, ")


@pytest.mark.parametrize(
    ("told", "path"),
    [({"model": "org/m:together"}, "model"), ({"inference_provider": "together"}, "inference_provider")],
)
def test_a_provider_that_does_not_serve_the_model_is_told(told, path, hub):
    """A provider that was named and cannot serve is told with those that can."""
    (problem,) = checked(hub, **told)
    assert (problem.path, problem.hint) == (path, "served by novita, groq")


@pytest.mark.parametrize("fault", [Silence(), Drip(0.05), Status(500, body=b"down"), Status(429, body=b"{}")])
def test_a_hub_that_does_not_answer_is_a_warning(fault, hub):
    """A Hub in trouble keeps nobody from asking the router, and the check ends in time."""
    hub.default = fault
    (problem,) = checked(hub, timeout_s=0.3)
    assert (problem.path, problem.severity) == ("hub_url", "warning")


@pytest.mark.parametrize("answer", [[], 7, None, {"inferenceProviderMapping": 3}, {"inferenceProviderMapping": [3]}])
def test_a_strange_hub_breaks_nothing(answer, hub):
    """Answers of another shape mean that nobody serves the model."""

    class Strange(Hub):
        def answer(self, request):
            return Response.json(answer)

    hub.default = Strange()
    (problem,) = checked(hub)
    assert problem.path == "model"


def test_nothing_is_asked_offline(hub):
    """Without being told to, validation asks nobody; nor does it online when the settings cannot be used."""
    settings = HuggingFaceSettings(token=TOKEN, hub_url=hub.url)
    assert list(plugin.kickai_validate_provider(settings=settings, online=False)) == []
    assert [p.path for p in checked(hub, token=None)] == ["token"]
    assert hub.requests == []


class Server(Fault):
    """A server of one's own that lists its models to those who have its token."""

    def __init__(self, names, token="secret") -> None:  # noqa: S107
        super().__init__()
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "token", token)

    async def play(self, exchange):
        """Answer one question."""
        if exchange.request.headers.get("authorization") != f"Bearer {self.token}":
            await exchange.respond(Response.json({"error": "no"}, status=401))
        elif self.names is None:
            await exchange.respond(Response(status=404, body=b"not found"))
        else:
            await exchange.respond(Response.json({"data": [{"id": name} for name in self.names]}))


def own(hub, **told):
    """Return the problems of a server of one's own, and the paths that were asked for."""
    told = {"base_url": f"{hub.url}/v1", "token": Secret("secret"), "hub_token": TOKEN, **told}
    problems = checked(hub, hub_url="https://hub.invalid", **told)
    assert TOKEN.reveal() not in json.dumps([dict(request.headers) for request in hub.requests])
    return problems, [request.path for request in hub.requests]


def test_a_server_of_ones_own_is_asked_what_it_serves(hub):
    """It is asked itself, with its own token, and the Hub is not."""
    hub.default = Server(["org/m", "b"])
    assert own(hub) == ([], ["/v1/models"])
    assert own(hub, model=None)[0] == []


def test_a_model_that_a_server_does_not_list_is_a_warning(hub):
    """Some servers answer to any name, so that it is no error."""
    hub.default = Server(["a", "b", "c", "d"])
    ((problem,), _) = own(hub)
    assert (problem.path, problem.severity, problem.hint) == ("model", "warning", "it lists a, b, c")


@pytest.mark.parametrize(("token", "told"), [(Secret("wrong"), "does not accept"), (None, "wants a token")])
def test_a_server_that_refuses_is_told(token, told, hub):
    """A token that is wrong, or that is missing, is told."""
    hub.default = Server([])
    ((problem,), _) = own(hub, token=token)
    assert problem.path == "token"
    assert told in problem.message


def test_a_server_that_lists_nothing_is_no_problem(hub):
    """Not every server can say what it serves."""
    hub.default = Server(None)
    assert own(hub)[0] == []
    assert own(hub, task="text_generation")[1][-1] == "/v1/info"


def test_a_server_that_is_not_there_is_a_warning(hub):
    """What cannot be reached now may be later."""
    ((problem,), _) = own(hub, base_url="http://127.0.0.1:9")
    assert (problem.path, problem.severity) == ("base_url", "warning")
