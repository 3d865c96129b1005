"""The measured code: a provider that does nothing, the mock, and the resolvers that call them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pluggy
from kickai_mock.plugin import plugin as mock
from kickai_mock.settings import MockSettings

from kickai_providers_core import (
    BreakerSettings,
    ChatRequest,
    FinishReason,
    KickaiSettings,
    ProviderInfo,
    ProviderTimeoutError,
    Reply,
    Resolver,
    Settings,
    Usage,
    hookimpl,
)
from kickai_providers_core.plugin_api import hookspecs

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.stores.api import Store
    from kickai_providers_core.values.events import Event

__all__ = ["REQUEST", "Trivial", "create_bare_hook", "create_bare_mock_hook", "create_resolver"]

REQUEST = ChatRequest.from_prompt("Who can play on Saturday?")
MOCK = MockSettings(keep_calls=0)
REPLY = Reply(text="Ann", finish_reason=FinishReason.STOP, usage=Usage(input_tokens=6, output_tokens=1))


class Trivial:
    """A provider that returns a constant. The model ``down`` fails, and ``slow`` waits for 50 ms.

    Its hooks take every argument, as those of real providers do, because pluggy's time grows with their number.
    """

    def __init__(self, name: str = "trivial") -> None:
        self._info = ProviderInfo(name=name, summary="returns a constant", holds_timeouts=True)

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        """Describe the provider."""
        return self._info

    @hookimpl
    def kickai_create_provider(self) -> object:
        """Create nothing."""
        return self

    @hookimpl
    def kickai_invoke_provider(self, provider: object, request: ChatRequest, timeout_s: float) -> Reply:  # noqa: ARG002
        """Answer, or fail."""
        if request.model == "down":
            raise ProviderTimeoutError("no answer in time")
        return REPLY

    @hookimpl
    async def kickai_ainvoke_provider(self, provider: object, request: ChatRequest, timeout_s: float) -> Reply:  # noqa: ARG002
        """Answer, at once or after 50 ms."""
        if request.model == "slow":
            await asyncio.sleep(0.05)
        return REPLY


def watch(_event: Event) -> None:
    """Observe an event and do nothing."""


def create_resolver(
    *, plugins: int = 1, breaker: BreakerSettings | None = None, store: Store | None = None
) -> Resolver:
    """Return a resolver with all policies and breakers, and one observer.

    Args:
        plugins: The number of providers besides the mock; the first is called ``trivial``.
        breaker: When breakers open.
        store: Where metrics are written; None for no metrics.
    """
    names = ["trivial", *(f"trivial-{number}" for number in range(1, plugins))]
    return Resolver.from_settings(
        Settings(kickai=KickaiSettings(plugins=()), breaker=breaker or BreakerSettings(), providers={"mock": MOCK}),
        plugins={"mock": mock, **{name: Trivial(name) for name in names}},
        observers=[watch],
        store=store,
    )


def _register(plugin: object) -> pluggy.HookRelay:
    manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    return manager.hook


def create_bare_hook() -> Callable[[], Any]:
    """Return one bare call of the invocation hook, implemented by the trivial provider."""
    hook, provider = _register(Trivial()).kickai_invoke_provider, object()
    return lambda: hook(provider=provider, request=REQUEST, timeout_s=10.0)


def create_bare_mock_hook() -> Callable[[], Any]:
    """Return one bare call of the invocation hook, implemented by the mock."""
    hooks = _register(mock)
    hook, provider = hooks.kickai_invoke_provider, hooks.kickai_create_provider(settings=MOCK)
    return lambda: hook(provider=provider, request=REQUEST, timeout_s=10.0)
