"""Fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import live
import openai
import pytest
from hypothesis import HealthCheck, settings
from scripted import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # how long an example takes depends on the machine


@pytest.fixture
def script() -> Script:
    """What the providers see."""
    return Script()


@pytest.fixture
async def gateway(script: Script) -> AsyncIterator[live.Live]:
    """A running gateway over the providers ``one`` and ``two``."""
    async with live.serve(script) as running:
        yield running


@pytest.fixture
async def http(gateway: live.Live) -> AsyncIterator[httpx.AsyncClient]:
    """A client of plain HTTP."""
    async with httpx.AsyncClient(base_url=gateway.url, timeout=20) as client:
        yield client


@pytest.fixture
async def client(gateway: live.Live) -> AsyncIterator[openai.AsyncOpenAI]:
    """The client of OpenAI, which does not retry."""
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        yield client
