"""What operators read: models, health, metrics, the data of the status page, and feedback."""

from __future__ import annotations

import asyncio
import json

import live
import pytest
from openai.types import Model
from wire import CHAT, body, read_events

from kickai_gateway.board import Board
from kickai_gateway.metrics import ROUTES


async def test_the_models_are_roles_instances_and_targets(http):
    """Each can be used as it is listed, and has the form of OpenAI's type."""
    listed = (await http.get("/v1/models")).json()
    assert listed["object"] == "list"
    names = [Model.model_validate(each, strict=True).id for each in listed["data"]]
    assert {"kickai", "kickai:player_coordinator", "one", "two"} <= set(names)
    assert len(names) == len(set(names))
    for name in names:
        assert (await http.post(CHAT, json=body(name))).status_code == 200, name


@pytest.mark.parametrize("name", ["kickai:player_coordinator", "player_coordinator", "one:org/large", "one:a,two:b"])
async def test_a_model_can_be_described(http, name):
    """Also one that is not listed."""
    response = await http.get(f"/v1/models/{name}")
    assert response.status_code == 200
    assert Model.model_validate(response.json(), strict=True).id == name


async def test_a_role_has_its_targets_and_its_defaults(http, script):
    """Its temperature and its token limit reach the provider."""
    response = await http.post(CHAT, json=body("kickai:player_coordinator"))
    assert response.status_code == 200
    role = live.ROLE
    assert (script.requests[0].temperature, script.requests[0].max_tokens) == (role.temperature, role.max_tokens)


async def test_readiness_follows_the_health_of_the_targets(http):
    """While all are suspended it is 503; the process itself is healthy."""
    assert (await http.get("/readyz")).status_code == 200
    await http.post(CHAT, json=body("one:busy"))
    assert (await http.get("/readyz")).status_code == 503
    assert (await http.get("/healthz")).json() == {"status": "ok"}


async def test_the_metrics_count_requests_by_their_end(http):
    """Answers, errors, tokens, fallbacks and times."""
    await http.post(CHAT, json=body())
    await http.post(CHAT, json=body("one:down,two"))
    await http.post(CHAT, json=body(stream=True))
    await http.post(CHAT, json=body("one:breaks", stream=True))
    await http.post(CHAT, json=body("nobody"))
    text = (await http.get("/metrics")).text
    lines = text.splitlines()
    assert 'kickai_gateway_requests_total{route="chat",status="200"} 2' in lines
    assert 'kickai_gateway_requests_total{route="stream",status="200"} 1' in lines
    assert 'kickai_gateway_requests_total{route="stream",status="502"} 1' in lines
    assert 'kickai_gateway_requests_total{route="chat",status="404"} 1' in lines
    assert 'kickai_gateway_answer_seconds_count{route="chat"} 3' in lines
    assert 'kickai_gateway_answer_seconds_bucket{route="stream",le="+Inf"} 2' in lines
    assert 'kickai_gateway_tokens_total{kind="output"} 21' in lines
    assert "kickai_gateway_fallbacks_total 1" in lines
    assert "kickai_gateway_running_requests 0" in lines
    assert 'kickai_gateway_target_available{provider="one",model=""} 1' in lines


def test_the_counters_of_all_workers_add_up():
    """Each writes to its own part."""
    first = Board.create(2)
    second = Board.open(first.memory.descriptor, 2, 1)
    for number, board in enumerate((first, second), 1):
        for _ in range(number):
            board.metrics.begin()
            board.metrics.end("chat", 200, 0.2)
    assert first.metrics.sum_counters()["requests", "chat", "200"] == 3
    second.metrics.begin()
    third = Board.open(first.memory.descriptor, 2, 1)  # it replaces the second one, which was killed
    assert third.metrics.sum_counters()["running",] == 0
    assert third.metrics.sum_counters()["restarts",] == 1
    first.memory.close()


def test_every_route_and_status_can_be_counted():
    """An unusual status is counted as other."""
    board = Board.create()
    for route in ROUTES:
        board.metrics.begin()
        board.metrics.end(route, 418, 1.0)
    assert sum(value for key, value in board.metrics.sum_counters().items() if key[-1] == "other") == len(ROUTES)
    board.memory.close()


async def test_feedback_is_recorded_for_the_answer(http, gateway):
    """For whole answers and streams, by the id of the answer or of the request."""
    seen = []
    gateway.gateway.generations.current.resolver._observers._by_event.receivers.append((seen.append, None))
    whole = await http.post(CHAT, json=body("kickai:player_coordinator"))
    stream = await http.post(CHAT, json=body("two:large", stream=True))
    ids = (whole.json()["id"], stream.headers["x-request-id"], json.loads(read_events(stream.text)[0])["id"])
    for id_ in ids:
        response = await http.post("/v1/feedback", json={"id": id_, "ok": id_ != ids[1], "name": "tone"})
        assert (response.status_code, response.json()["id"]) == (200, id_)
    given = [each for each in seen if type(each).__name__ == "FeedbackGiven"]
    assert [(each.role, each.provider, each.ok) for each in given] == [
        ("player_coordinator", "one", True),
        (None, "two", False),
        (None, "two", True),
    ]


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"id": "chatcmpl-x", "ok": True}, 404, "id"),
        ({"ok": True}, 400, "id"),
        ({"id": "x", "ok": "yes"}, 400, "ok"),
        ({"id": "x", "ok": True, "rating": 5}, 400, "rating"),
        ({"id": None, "ok": True, "name": "Bad Name"}, 400, "name"),
    ],
)
async def test_malformed_feedback_is_refused(http, fields, status, param):
    """The field is named."""
    if fields.get("id", "") is None:
        fields = {**fields, "id": (await http.post(CHAT, json=body())).json()["id"]}
    response = await http.post("/v1/feedback", json=fields)
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)


async def test_the_status_shows_the_chains_and_their_health(http):
    """A suspended target has its reason and the time until it may be called."""
    await http.post(CHAT, json=body("one:busy,two"))
    await http.post(CHAT, json=body("one"))
    status = (await http.get("/status.json")).json()
    assert status["counters"]["requests"] == 2
    assert status["counters"]["fallbacks"] == 1
    assert (status["workers"], status["store"]) == (1, None)
    chain = next(each for each in status["chains"] if each["model"] == "kickai")
    assert [each["target"] for each in chain["targets"]] == ["one", "two"]
    assert chain["targets"][0]["available"] is True


async def test_the_page_and_its_files_are_served(http):
    """With a policy that loads nothing from elsewhere."""
    for path, kind in (("/", "text/html"), ("/status.css", "text/css"), ("/status.js", "text/javascript")):
        response = await http.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "http" not in response.text.replace("<!doctype html>", "")
        assert (await http.head(path)).status_code == 200


async def test_without_a_store_there_is_no_report(http, tmp_path, monkeypatch):
    """It says what to add; the page shows that."""
    monkeypatch.chdir(tmp_path)
    async with asyncio.timeout(60):
        report = (await http.get("/report.json", timeout=60)).json()
    assert report == {"error": "there is no report without [store]"}
