"""The plugin in a real plugin manager, with the real small model."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pluggy
import pytest
from attrs import evolve
from hypothesis import HealthCheck, settings
from kickai_providers_core import ChatRequest, Message
from kickai_providers_core.plugin_api import hookspecs

from kickai_local import checks
from kickai_local.plugin import plugin
from kickai_local.settings import LocalSettings
from kickai_local.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # how long an example takes depends on the machine

PATIENCE_S = 60.0
"""Seconds that no test takes unless it means to, on a busy machine."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, also for a run from another folder."""
    config.addinivalue_line("markers", "llama: runs the real runtime on the real small model")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that need the real model where it is not installed; fail them in CI."""
    if item.get_closest_marker("llama") is None:
        return
    missing = checks.find_problems(LocalSettings())
    if missing:
        reason = "; ".join(map(str, missing))
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def hook() -> Any:
    """Return the hooks of the plugin, called as a plugin manager calls them."""
    manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()
    return manager.hook


@pytest.fixture(scope="session")
def provider(hook: Any) -> Iterator[Any]:
    """Return a provider whose model stays loaded for all tests that do not harm it."""
    provider = hook.kickai_create_provider(settings=LocalSettings(context_window=1024, max_tokens=1024))
    yield provider
    hook.kickai_close_provider(provider=provider)


@pytest.fixture
def created(hook: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that makes further providers, which are closed after the test."""
    providers: list[Any] = []

    def create(**settings: Any) -> Any:
        providers.append(hook.kickai_create_provider(settings=LocalSettings(**settings)))
        return providers[-1]

    yield create
    for provider in providers:
        hook.kickai_close_provider(provider=provider)


@pytest.fixture(scope="session")
def asking() -> Callable[..., ChatRequest]:
    """Return a function that makes requests as the core hands them over: at temperature 0, with few tokens."""

    def make(text: str, **fields: Any) -> ChatRequest:
        request = ChatRequest(messages=(Message(role="user", content=text),))
        return evolve(request, **{"temperature": 0.0, "max_tokens": 16, **fields})

    return make


@pytest.fixture(scope="session")
def call(hook: Any) -> Callable[..., list[Any]]:
    """Return a function that calls a provider in one of the four modes and lists its reply or its chunks."""

    def make(mode: str, provider: Any, request: ChatRequest, timeout_s: float = PATIENCE_S) -> list[Any]:
        method = getattr(hook, f"kickai_{mode}_provider")

        async def awaited() -> list[Any]:
            called = method(provider=provider, request=request, timeout_s=timeout_s)
            return [await called] if mode == "ainvoke" else [chunk async for chunk in called]

        if mode in {"ainvoke", "astream"}:
            return asyncio.run(awaited())
        called = method(provider=provider, request=request, timeout_s=timeout_s)
        return [called] if mode == "invoke" else list(called)

    return make


@pytest.fixture
def runtime() -> Iterator[Supervisor]:
    """Return the runtime of the small model, at a socket, and close it after the test."""
    yield from _runtime(unix=True)


@pytest.fixture
def runtime_at_port() -> Iterator[Supervisor]:
    """Return the runtime of the small model, at a loopback port, and close it after the test."""
    yield from _runtime(unix=False)


def _runtime(*, unix: bool) -> Iterator[Supervisor]:
    settings = LocalSettings(context_window=256)
    runtime = Supervisor(checks.find_model_file(settings), settings, unix=unix)
    yield runtime
    runtime.close()
