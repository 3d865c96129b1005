"""A client that disconnects ends the call of the provider."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from live import wait_for
from wire import CHAT, body


@pytest.mark.parametrize("stream", [False, True])
async def test_a_disconnect_cancels_the_call(gateway, script, stream):
    """At once, for whole answers as for streams."""
    async with httpx.AsyncClient(base_url=gateway.url) as http:
        asking = asyncio.ensure_future(http.post(CHAT, json=body("one:slow", stream=stream)))
        await wait_for(lambda: script.requests)
        asking.cancel()
        await asyncio.wait((asking,))
    await wait_for(lambda: script.ended)
    assert script.ended == ["cancelled"]
    assert gateway.log == []
    assert gateway.gateway.generations.current.running == 0
