"""Listing what a server has, and pulling what it lacks."""

from __future__ import annotations

import time

import pytest
from attrs import evolve
from calling import Caller
from kickai_providers_core import (
    ChatRequest,
    ModelNotFoundError,
    Progress,
    ProviderTimeoutError,
    ProviderUnavailableError,
    Secret,
)
from kickai_providers_core.testing.faults import Cut, Ok, Silence, Stall, Status, closed_port
from ollama_wire import MODEL, PULLING, OllamaWire

from kickai_ollama import checks, models, plugin
from kickai_ollama.models import Models, add_tag
from kickai_ollama.settings import OllamaSettings
from kickai_ollama.transport import connect

SOON_S = 2.0
OTHER = "llama3.2"
ASK_OTHER = evolve(ChatRequest.of("ping"), model=OTHER)


@pytest.fixture
def settings(server):
    """Return settings of the server under test, which pull what is missing."""
    return OllamaSettings(host=server.url, model=OTHER, pull=True)


@pytest.fixture
def server_models(settings):
    """Return the models of the server."""
    with connect(settings) as connections:
        yield Models(settings, connections)


@pytest.mark.parametrize(
    ("name", "full"),
    [("llama3.2", "llama3.2:latest"), ("a/b/c", "a/b/c:latest"), ("a:1", "a:1"), ("hub:5000/a", "hub:5000/a:latest")],
)
def test_a_name_without_a_tag_means_latest(name, full):
    """Ollama's names have a tag, written or not."""
    assert add_tag(name) == full


def test_the_servers_models_are_listed(server, server_models):
    """The names come as the server tells them."""
    server.wire = OllamaWire(["a:1", "b:latest"])
    assert server_models.list() == ("a:1", "b:latest")


def test_a_pull_tells_how_far_it_is(server_models):
    """Each step tells the bytes of all layers so far; the last is the server's success."""
    steps = list(server_models.pull(OTHER))
    assert [(step.completed, step.total) for step in steps] == [
        (0, 0), (0, 300), (150, 300), (300, 300), (400, 400), (400, 400), (400, 400),
    ]  # fmt: skip
    assert [str(step) for step in steps[:3]] == ["pulling manifest", "0%", "50%"]
    assert steps[-1].status == "success"


def test_a_pull_that_ends_early_is_an_error(server, server_models):
    """A pull that ends without success did not succeed."""
    server.script(Cut(2, "clean"))
    with pytest.raises(ProviderUnavailableError, match="before it was done"):
        list(server_models.pull(OTHER))


def test_a_pull_that_stalls_is_left(server, server_models, monkeypatch):
    """A pull may take for ever, but not without any progress."""
    monkeypatch.setattr(models, "STALL_S", 0.2)
    server.script(Stall(2))
    with pytest.raises(ProviderTimeoutError):
        list(server_models.pull(OTHER))
    assert server.wait_closed(SOON_S)


def test_a_model_that_exists_nowhere_is_told(server, server_models):
    """What no library has is told without advice to pull it."""
    server.script(Status(500, body=b'{"error": "pull model manifest: file does not exist"}'))
    with pytest.raises(ModelNotFoundError, match=r"no llama3\.2 to pull") as caught:
        list(server_models.pull(OTHER))
    assert "`ollama pull" not in caught.value.message


def test_a_pull_can_be_left(server, server_models):
    """Closing the iterator closes the connection."""
    server.script(Stall(2))
    steps = server_models.pull(OTHER)
    next(steps)
    steps.close()
    assert server.wait_closed(SOON_S)


def until(condition, server, call):
    """Ask for the missing model until the error's message is as wanted, and return that error."""
    for _ in range(200):
        server.script(Status(404, "model_not_found"))
        error = call("ainvoke", ASK_OTHER).error
        if condition(error.message):
            return error
        time.sleep(0.01)
    return None


def test_a_missing_model_is_pulled_in_the_background(server, settings):
    """The call fails at once and says how far the pull is, so that the chain goes on; afterwards the model answers."""
    call = Caller(settings)
    server.default = Ok(pieces=("p", "o", "ng"))
    server.script(Status(404, "model_not_found"), Stall(3))
    error = call("invoke", ASK_OTHER).error
    assert type(error) is ModelNotFoundError
    assert error.message == "llama3.2 is being pulled (starting)"
    assert error.retry_after_s == 5
    assert server.wait_requests(2, SOON_S)
    assert server.requests[1].json() == {"model": "llama3.2:latest", "stream": True}
    assert until(lambda told: told == "llama3.2 is being pulled (50%)", server, call)
    assert sum(request.path == "/api/pull" for request in server.requests) == 1, "it is pulled once"
    call.provider.close()
    assert server.wait_closed(SOON_S), "closing the provider stops the pull"


def test_a_pull_that_failed_is_told_once(server, settings):
    """Why a pull failed stands in the next call's error, and the call after that pulls again."""
    call = Caller(settings)
    server.script(Status(404, "model_not_found"), Status(500, "crashed"))
    call("invoke", ASK_OTHER)
    error = until(lambda told: "being pulled" not in told, server, call)
    assert error.message == "pulling llama3.2 failed: the server failed: see its log"
    assert error.retry_after_s is None
    server.script(Status(404, "model_not_found"), Stall(1))
    assert "being pulled" in call("astream", ASK_OTHER).error.message
    call.provider.close()


def test_nothing_is_pulled_unasked(server, settings):
    """Without the setting the error says which command pulls the model, and nothing else happens."""
    call = Caller(evolve(settings, pull=False))
    server.script(Status(404, "model_not_found"))
    assert "`ollama pull llama3.2`" in call("invoke", ASK_OTHER).error.message
    assert len(server.requests) == 1
    call.provider.close()


def test_preparing_pulls_what_is_missing(server, settings):
    """The command line pulls the model before it asks, and sees how far that is."""
    steps = list(plugin.kickai_prepare_provider(settings=settings, model=None))
    assert len(steps) == len(PULLING)
    assert all(isinstance(step, Progress) for step in steps)
    assert [request.path for request in server.requests] == ["/api/tags", "/api/pull"]


@pytest.mark.parametrize("changes", [{"pull": False}, {"model": MODEL}, {"model": None}])
def test_preparing_does_nothing_needless(server, settings, changes):
    """Nothing is pulled that is there already, that has no name, or without the setting."""
    assert list(plugin.kickai_prepare_provider(settings=evolve(settings, **changes), model=None)) == []
    assert all(request.path != "/api/pull" for request in server.requests)


def test_preparing_takes_the_targets_model(server, settings):
    """The model of the target comes before that of the instance."""
    list(plugin.kickai_prepare_provider(settings=settings, model="phi4"))
    assert server.requests[-1].json()["model"] == "phi4"


# Validation


def problems(settings, *, online=True):
    """Return the problems of an instance."""
    return list(plugin.kickai_validate_provider(settings=settings, online=online))


def test_a_server_on_this_machine_is_no_problem():
    """The defaults are usable as they are."""
    assert problems(OllamaSettings(), online=False) == []


def test_plain_http_beyond_this_machine_is_allowed_and_said():
    """Prompts that others could read are worth a warning, and no more."""
    (problem,) = problems(OllamaSettings(host="http://gpu-box"), online=False)
    assert (problem.path, problem.severity) == ("host", "warning")
    assert "unencrypted to gpu-box" in problem.message
    assert problems(OllamaSettings(host="https://gpu-box"), online=False) == []


def test_a_key_that_will_not_be_sent_is_said():
    """A key that is withheld is named, and not shown."""
    found = problems(OllamaSettings(host="http://gpu-box", api_key=Secret("canary")), online=False)
    assert [(problem.path, problem.severity) for problem in found] == [("host", "warning"), ("api_key", "warning")]
    assert "canary" not in str(found)


def test_what_is_there_is_listed_also_when_all_is_well(server, settings):
    """With the server up and the model there, online validation merely notes what the server has."""
    (note,) = problems(evolve(settings, model=MODEL))
    assert note.severity == "note"
    assert note.message.startswith(f"the server has {MODEL}; it has ")


def test_a_model_that_is_missing_is_a_problem_that_lists_what_is_there(server, settings):
    """A missing model is told with the command that gets it, beside the models that are there."""
    (problem,) = problems(evolve(settings, pull=False))
    assert (problem.path, problem.severity, problem.missing) == ("model", "error", OTHER)
    assert MODEL in problem.message
    assert "`ollama pull llama3.2`" in problem.hint
    (milder,) = problems(settings)
    assert (milder.severity, milder.hint) == ("warning", "It is pulled on first use.")


def test_without_a_model_what_is_there_is_listed(server, settings):
    """An instance without a model of its own is told what it could name; a long list is cut short."""
    server.wire = OllamaWire([f"m{number}" for number in range(checks.SHOWN_MODELS + 3)])
    (problem,) = problems(evolve(settings, model=None))
    assert problem.severity == "warning"
    assert "it has m0, m1" in problem.message
    assert problem.message.endswith("and 3 more")
    server.wire = OllamaWire([])
    (problem,) = problems(evolve(settings, model=None))
    assert "it has none yet" in problem.message


def test_a_server_that_is_not_running_is_a_problem_with_its_command():
    """Nobody listening is told with the command that starts a server."""
    (problem,) = problems(OllamaSettings(host=f":{closed_port()}"))
    assert (problem.path, problem.severity) == ("host", "error")
    assert "`ollama serve`" in problem.message


def test_a_refused_key_is_a_problem_of_the_key(server, settings):
    """A server that refuses access is told at the key."""
    server.script(Status(401, "auth"))
    (problem,) = problems(settings)
    assert (problem.path, problem.missing) == ("api_key", "OLLAMA_API_KEY")


@pytest.mark.parametrize("fault", [Status(500, "crashed"), Silence(), Ok()])
def test_validating_ends_in_time(server, settings, fault):
    """Whatever the server does, validation ends within the attempt's time."""
    server.script(fault)
    assert problems(evolve(settings, timeout_s=0.2))
