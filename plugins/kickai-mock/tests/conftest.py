"""Fixtures: the plugin behind real hooks, a virtual clock, and one way to call in all four modes."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pluggy
import pytest
from attrs import define, frozen
from hypothesis import HealthCheck, settings
from kickai_providers_core import ChatRequest, Clockwork, ProviderError, Reply, ReplyChunk
from kickai_providers_core.plugin_api import hookspecs

from kickai_mock import MockInCode
from kickai_mock.plugin import plugin

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # how long an example takes depends on the machine

MODES = ("invoke", "ainvoke", "stream", "astream")


@define
class VirtualTime:
    """A clock that advances only by sleeps."""

    now: float = 1000.0

    def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        """Advance the clock, and let other tasks run."""
        self.now += seconds
        await asyncio.sleep(0)

    @property
    def clockwork(self) -> Clockwork:
        """The clock and its sleeps."""
        return Clockwork(clock=lambda: self.now, sleep=self.sleep, asleep=self.asleep)


@frozen
class Ended:
    """How one call ended.

    Attributes:
        text: The text of the answer, or of what was streamed before an error.
        error: The error that it raised, or None.
        last: The reply, or the last item of a stream.
        pieces: The texts of its chunks; the whole text of a reply.
        took_s: How long the call took on its clock, seconds.
    """

    text: str
    error: ProviderError | None
    last: Any
    pieces: tuple[str, ...]
    took_s: float


@pytest.fixture
def hooks() -> Any:
    """The hooks of the plugin, through a real plugin manager that knows the specifications."""
    manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()
    return manager.hook


@pytest.fixture
def virtual() -> VirtualTime:
    """A virtual clock."""
    return VirtualTime()


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each of the four ways to call."""
    return request.param


def request_of(prompt: Any = "Who can play on Saturday?", **fields: Any) -> ChatRequest:
    """Return a request as a chain would hand it to a provider."""
    request = ChatRequest.of(prompt)
    return ChatRequest(messages=request.messages, **fields)


@pytest.fixture
def call(hooks: Any) -> Callable[..., Ended]:
    """Call a provider through its hooks in one of the modes, and return how the call ended."""

    def call(mode: str, provider: Any, request: ChatRequest | None = None, timeout_s: float = 10.0, clock: Any = None):
        clock = clock or time.monotonic
        began, items = clock(), []
        arguments = {"provider": provider, "request": request or request_of(), "timeout_s": timeout_s}
        error = None
        try:
            if mode == "invoke":
                items.append(hooks.kickai_invoke_provider(**arguments))
            elif mode == "ainvoke":
                items.append(asyncio.run(_awaited(hooks, arguments)))
            elif mode == "stream":
                for chunk in hooks.kickai_stream_provider(**arguments):
                    items.append(chunk)  # noqa: PERF402  what came before an error counts
            else:
                asyncio.run(_gathered(hooks, arguments, items))
        except ProviderError as exc:
            error = exc
        texts = [item.text for item in items if isinstance(item, Reply | ReplyChunk)]
        return Ended("".join(texts), error, items[-1] if items else None, tuple(filter(None, texts)), clock() - began)

    return call


async def _awaited(hooks: Any, arguments: dict[str, Any]) -> Any:
    return await hooks.kickai_ainvoke_provider(**arguments)


async def _gathered(hooks: Any, arguments: dict[str, Any], items: list[Any]) -> None:
    async for chunk in hooks.kickai_astream_provider(**arguments):
        items.append(chunk)  # noqa: PERF401  what came before an error counts


@pytest.fixture
def make(hooks: Any, virtual: VirtualTime) -> Callable[..., Any]:
    """Return a function that makes providers on the virtual clock, as the core does."""

    def make(**settings: Any) -> Any:
        mock_settings = MockInCode(**{"time": virtual.clockwork, **settings})
        assert hooks.kickai_validate_provider(settings=mock_settings, online=False) == []
        return hooks.kickai_create_provider(settings=mock_settings)

    return make


@pytest.fixture
def outcome(call: Callable[..., Ended], virtual: VirtualTime) -> Callable[..., Ended]:
    """Call a provider on the virtual clock."""

    def outcome(
        mode: str, provider: Any, prompt: Any = "Who can play on Saturday?", timeout_s: float = 10.0, **fields: Any
    ):
        return call(mode, provider, request_of(prompt, **fields), timeout_s, lambda: virtual.now)

    return outcome
