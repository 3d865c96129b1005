"""The headers with which a client steers one request."""

from __future__ import annotations

import pytest
from wire import CHAT, body


async def test_a_deadline_can_be_shortened(http, script):
    """The request ends in time, and the provider's call with it."""
    response = await http.post(CHAT, json=body("one:slow"), headers={"x-kickai-deadline-s": "0.2"})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) in {(504, "deadline_exceeded"), (503, "no_target_available")}
    assert "0.2 s" in error["message"]
    assert script.ended == ["cancelled"]


async def test_a_deadline_cannot_be_extended(http, gateway):
    """A longer one has no effect."""
    chain = gateway.gateway.generations.current.models.find("one")
    response = await http.post(CHAT, json=body("one:down"), headers={"x-kickai-deadline-s": "99999"})
    assert response.status_code == 503
    assert chain.deadline_s == 20


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon", ""])
async def test_a_malformed_deadline_is_refused(http, value):
    """With the name of the header."""
    response = await http.post(CHAT, json=body(), headers={"x-kickai-deadline-s": value})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "x-kickai-deadline-s")


@pytest.mark.parametrize("value", ["", "x" * 1001])
async def test_a_malformed_key_is_refused(http, value):
    """And never quoted."""
    response = await http.post(CHAT, json=body(), headers={"x-kickai-key": value})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "x-kickai-key")
    assert "xxx" not in response.text
