"""The online check with a service's list of models."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from kickai_providers_core import ProviderSettings, Secret
from kickai_providers_core.authoring import Endpoint, HttpService, model_list_problems
from kickai_providers_core.authoring.model_list import MAX_LIST_BYTES
from kickai_providers_core.testing.faults import FaultServer, Response, Silence, Status


class ListWire:
    """A service with a list of models."""

    document: object = None

    def reply(self, request, text, finish=None):
        """Answer with the list."""
        return Response.json(self.document)

    def error(self, request, status, kind):
        """Answer with an error."""
        return Response.json({"error": "no"}, status=status)

    def wants_stream(self, request):
        """Return False: a list is not a stream."""
        return False


@pytest.fixture
def server():
    """Serve a list of models."""
    with FaultServer(ListWire()) as server:
        yield server


def check(server, model="m-1", key=None, timeout_s=10.0):
    """Return the problems that the service reports."""
    endpoint = Endpoint(url=server.url, key=key, key_setting="token")
    settings = ProviderSettings(model=model, timeout_s=timeout_s)
    with closing(HttpService(endpoint, settings, user_agent="test")) as service:
        return list(model_list_problems(service, settings))


@pytest.mark.parametrize("form", ["object", "array"])
@pytest.mark.parametrize(("model", "is_listed"), [("m-1", True), (None, True), ("m-9", False)])
def test_a_model_that_is_not_listed_is_a_warning(model, is_listed, form, server):
    """The hint names some of the models that are; both forms of lists are read."""
    models = [{"id": "m-1"}, {"no": "id"}, "odd", {"id": "m-2"}, {"id": "m-3"}, {"id": "m-4"}]
    server.wire.document = {"data": models} if form == "object" else models
    problems = check(server, model)
    assert [request.path for request in server.requests] == ["/models"]
    if is_listed:
        assert problems == []
    else:
        assert [(p.path, p.severity) for p in problems] == [("model", "warning")]
        assert problems[0].hint == "It lists m-1, m-2, m-3"


@pytest.mark.parametrize("document", [{}, {"data": None}, {"data": "x"}, [], 3])
def test_a_list_without_models_says_nothing(document, server):
    """Nobody can know that the model is missing."""
    server.wire.document = document
    assert check(server) == []


@pytest.mark.parametrize(("key", "words"), [(None, "requires a key"), (Secret("canary"), "does not accept the key")])
def test_a_refused_key_is_an_error(key, words, server):
    """The problem names the setting and does not show the key."""
    server.default = Status(401, "auth")
    (problem,) = check(server, key=key)
    assert (problem.path, problem.severity) == ("token", "error")
    assert words in problem.message
    assert "canary" not in str(problem)


def test_a_service_without_a_list_is_no_problem(server):
    """Some services have none."""
    server.default = Status(404, "model_not_found")
    assert check(server) == []


def test_the_list_is_bounded(server):
    """A list that is too large, or that does not come in time, or an outage, is a warning."""
    server.wire.document = {"data": [{"id": "m" * 1000}] * (MAX_LIST_BYTES // 1000)}
    assert len(json.dumps(server.wire.document)) > MAX_LIST_BYTES
    found = check(server)
    server.default = Silence()
    found += check(server, timeout_s=0.2)
    server.default = Status(500, "overloaded")
    found += check(server)
    assert [(p.path, p.severity) for p in found] == [("base_url", "warning")] * 3
    for problem, words in zip(found, (str(MAX_LIST_BYTES), "no answer in time", "not available"), strict=True):
        assert words in problem.message
