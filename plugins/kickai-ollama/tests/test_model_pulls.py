"""Listing and pulling models, and the problems that the doctor finds."""

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

from kickai_ollama import checks, model_pulls
from kickai_ollama.model_pulls import Models, add_tag
from kickai_ollama.plugin import plugin
from kickai_ollama.settings import OllamaSettings
from kickai_ollama.transport import connect

SOON_S = 20.0
OTHER = "llama3.2"
CALL_OTHER = evolve(ChatRequest.of("ping"), model=OTHER)


@pytest.fixture
def settings(server):
    """Return settings that pull missing models."""
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
    """A name without a tag has the tag ``latest``."""
    assert add_tag(name) == full


def test_the_servers_models_are_listed(server, server_models):
    """The names are those of the server, in its order."""
    server.wire = OllamaWire(["a:1", "b:latest"])
    assert server_models.list() == ("a:1", "b:latest")


def test_a_pull_reports_its_progress(server_models):
    """Each step reports the bytes of all layers so far; the last one reports success."""
    steps = list(server_models.pull(OTHER))
    assert [(step.completed, step.total) for step in steps] == [
        (0, 0), (0, 300), (150, 300), (300, 300), (400, 400), (400, 400), (400, 400),
    ]  # fmt: skip
    assert [str(step) for step in steps[:3]] == ["pulling manifest", "0%", "50%"]
    assert steps[-1].status == "success"


def test_a_pull_that_ends_early_is_an_error(server, server_models):
    """A pull that ends without reporting success is an error."""
    server.script(Cut(2, "clean"))
    with pytest.raises(ProviderUnavailableError, match="before it was done"):
        list(server_models.pull(OTHER))


def test_a_pull_that_stalls_is_a_timeout(server, server_models, monkeypatch):
    """A pull has no time limit while it makes progress."""
    monkeypatch.setattr(model_pulls, "STALL_S", 0.2)
    server.script(Stall(2))
    with pytest.raises(ProviderTimeoutError):
        list(server_models.pull(OTHER))
    assert server.wait_closed(SOON_S)


def test_pulling_an_unknown_model_fails(server, server_models):
    """The error for a model that no library has does not advise to pull it."""
    server.script(Status(500, body=b'{"error": "pull model manifest: file does not exist"}'))
    with pytest.raises(ModelNotFoundError, match=r"no llama3\.2 to pull") as caught:
        list(server_models.pull(OTHER))
    assert "`ollama pull" not in caught.value.message


def test_a_pull_can_be_stopped(server, server_models):
    """Closing the iterator closes the connection."""
    server.script(Stall(2))
    steps = server_models.pull(OTHER)
    next(steps)
    steps.close()
    assert server.wait_closed(SOON_S)


def until(condition, server, call):
    """Call the missing model until the condition is true for the error's message, and return that error."""
    for _ in range(200):
        server.script(Status(404, "model_not_found"))
        error = call("ainvoke", CALL_OTHER).error
        if condition(error.message):
            return error
        time.sleep(0.01)
    return None


def test_a_missing_model_is_pulled_in_the_background(server, settings):
    """The call fails at once with the progress of the pull, so that the chain can continue."""
    call = Caller(settings)
    server.default = Ok(pieces=("p", "o", "ng"))
    server.script(Status(404, "model_not_found"), Stall(3))
    error = call("invoke", CALL_OTHER).error
    assert type(error) is ModelNotFoundError
    assert error.message == "llama3.2 is being pulled (starting)"
    assert error.retry_after_s == 5
    assert server.wait_requests(2, SOON_S)
    assert server.requests[1].json() == {"model": "llama3.2:latest", "stream": True}
    assert until(lambda message: message == "llama3.2 is being pulled (50%)", server, call)
    assert sum(request.path == "/api/pull" for request in server.requests) == 1, "it is pulled once"
    call.provider.close()
    assert server.wait_closed(SOON_S), "closing the provider stops the pull"


def test_a_failed_pull_is_reported_once(server, settings):
    """The next call's error contains the reason, and the call after that pulls again."""
    call = Caller(settings)
    server.script(Status(404, "model_not_found"), Status(500, "crashed"))
    call("invoke", CALL_OTHER)
    assert server.wait_requests(2, SOON_S), "the pull has its answer before the next call asks for one"
    error = until(lambda message: "being pulled" not in message, server, call)
    assert error.message == "pulling llama3.2 failed: the server failed: see its log"
    assert error.retry_after_s is None
    server.script(Status(404, "model_not_found"), Stall(1))
    assert "being pulled" in call("astream", CALL_OTHER).error.message
    call.provider.close()


def test_nothing_is_pulled_without_the_setting(server, settings):
    """Without the setting the error only names the command that pulls the model."""
    call = Caller(evolve(settings, pull=False))
    server.script(Status(404, "model_not_found"))
    assert "`ollama pull llama3.2`" in call("invoke", CALL_OTHER).error.message
    assert len(server.requests) == 1
    call.provider.close()


def test_preparing_pulls_a_missing_model(server, settings):
    """Preparing pulls the model and yields the progress."""
    steps = list(plugin.kickai_prepare_provider(settings=settings, model=None))
    assert len(steps) == len(PULLING)
    assert all(isinstance(step, Progress) for step in steps)
    assert [request.path for request in server.requests] == ["/api/tags", "/api/pull"]


@pytest.mark.parametrize("changes", [{"pull": False}, {"model": MODEL}, {"model": None}])
def test_preparing_pulls_only_when_necessary(server, settings, changes):
    """Nothing is pulled without the setting, without a model, or when the server has the model."""
    assert list(plugin.kickai_prepare_provider(settings=evolve(settings, **changes), model=None)) == []
    assert all(request.path != "/api/pull" for request in server.requests)


def test_preparing_prefers_the_model_of_the_target(server, settings):
    """The model of the target takes precedence over that of the instance."""
    list(plugin.kickai_prepare_provider(settings=settings, model="phi4"))
    assert server.requests[-1].json()["model"] == "phi4"


# Validation


def problems(settings, *, online=True):
    """Return the problems of an instance."""
    return list(plugin.kickai_validate_provider(settings=settings, online=online))


def test_the_defaults_have_no_problems():
    """A server on this machine is usable without settings."""
    assert problems(OllamaSettings(), online=False) == []


def test_plain_http_to_another_machine_is_a_warning():
    """Prompts that others can read are a warning, not an error."""
    (problem,) = problems(OllamaSettings(host="http://gpu-box"), online=False)
    assert (problem.path, problem.severity) == ("host", "warning")
    assert "unencrypted to gpu-box" in problem.message
    assert problems(OllamaSettings(host="https://gpu-box"), online=False) == []


def test_a_withheld_key_is_a_warning():
    """The warning about a key that is not sent does not contain the key."""
    found = problems(OllamaSettings(host="http://gpu-box", api_key=Secret("canary")), online=False)
    assert [(problem.path, problem.severity) for problem in found] == [("host", "warning"), ("api_key", "warning")]
    assert "canary" not in str(found)


def test_the_models_of_the_server_are_listed_in_a_note(server, settings):
    """When the server has the model, online validation yields one note."""
    (note,) = problems(evolve(settings, model=MODEL))
    assert note.severity == "note"
    assert note.message.startswith(f"the server has {MODEL}; it has ")


def test_a_missing_model_is_a_problem(server, settings):
    """The problem names the command that pulls the model, and the models that the server has."""
    (problem,) = problems(evolve(settings, pull=False))
    assert (problem.path, problem.severity, problem.missing) == ("model", "error", OTHER)
    assert MODEL in problem.message
    assert "`ollama pull llama3.2`" in problem.hint
    (milder,) = problems(settings)
    assert (milder.severity, milder.hint) == ("warning", "It is pulled on first use.")


def test_an_instance_without_a_model_is_a_warning(server, settings):
    """The warning lists the models of the server, at most twelve."""
    server.wire = OllamaWire([f"m{number}" for number in range(checks.SHOWN_MODELS + 3)])
    (problem,) = problems(evolve(settings, model=None))
    assert problem.severity == "warning"
    assert "it has m0, m1" in problem.message
    assert problem.message.endswith("and 3 more")
    server.wire = OllamaWire([])
    (problem,) = problems(evolve(settings, model=None))
    assert "it has none yet" in problem.message


def test_a_server_that_is_not_running_is_a_problem():
    """The problem names the command that starts a server."""
    (problem,) = problems(OllamaSettings(host=f":{closed_port()}"))
    assert (problem.path, problem.severity) == ("host", "error")
    assert "`ollama serve`" in problem.message


def test_a_refused_key_is_a_problem_of_the_key(server, settings):
    """When the server refuses access, the problem is at the path of the key."""
    server.script(Status(401, "auth"))
    (problem,) = problems(settings)
    assert (problem.path, problem.missing) == ("api_key", "OLLAMA_API_KEY")


@pytest.mark.parametrize("fault", [Status(500, "crashed"), Silence(), Ok()])
def test_validating_ends_in_time(server, settings, fault):
    """Online validation ends within the timeout, whatever the server does."""
    server.script(fault)
    assert problems(evolve(settings, timeout_s=0.2))
