"""A gateway without keys serves the programs of its machine, and no web page."""

from __future__ import annotations

import json

import httpx
import live
import pytest
from wire import CHAT, body

from kickai_gateway.origins import is_loopback


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((each, True) for each in ("localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]")),
        *(
            (each, False)
            for each in ("", "0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example")  # noqa: S104
        ),
        *((each, False) for each in ("evil.example", "127.1", "2130706433", "localhost.", "[::ffff:10.0.0.1]")),
    ],
)
def test_only_the_names_of_this_machine_are_local(host, local):
    """Names that resolve to it do not count, nor do other ways to write an address."""
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((each, 200) for each in ("localhost", "localhost:1234", "127.0.0.1:80", "[::1]", "[::1]:8080")),
        *((each, 403) for each in ("evil.example", "evil.example:8080", "127.0.0.1@evil.example", "localhost:x", "")),
    ],
)
async def test_a_request_must_name_this_machine(script, host, status):
    """Else a page whose name was rebound to 127.0.0.1 could spend money."""
    async with live.serve(script) as running, httpx.AsyncClient(base_url=running.url) as http:
        reply = await http.post(CHAT, json=body(model="kickai"), headers={"host": host})
        status_page = await http.get("/status.json", headers={"host": host})
    assert (reply.status_code, status_page.status_code) == (status, status)
    assert len(script.requests) == (status == 200)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:8080", ""])
async def test_a_web_page_is_refused(script, origin):
    """Its browser adds the header Origin to every request that is not a simple read of its own site."""
    async with live.serve(script) as running, httpx.AsyncClient(base_url=running.url) as http:
        reply = await http.post(CHAT, json=body(model="kickai"), headers={"origin": origin})
        preflight = await http.options(CHAT, headers={"origin": origin, "access-control-request-method": "POST"})
    assert reply.status_code == preflight.status_code == 403
    assert not [name for name in {**reply.headers, **preflight.headers} if name.startswith("access-control")]
    assert script.requests == []


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"]
)
@pytest.mark.parametrize("path", [CHAT, "/v1/feedback"])
async def test_a_body_must_be_declared_as_json(script, kind, path):
    """A page may send other types without asking first."""
    async with live.serve(script) as running, httpx.AsyncClient(base_url=running.url) as http:
        headers = {} if kind is None else {"content-type": kind}
        reply = await http.post(path, content=json.dumps(body(model="kickai")), headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert script.requests == []
