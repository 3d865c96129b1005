"""Three providers for one service, which differ in who enforces timeouts; and faults that last as long as needed."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from attrs import evolve, frozen

from kickai_providers_core import (
    FinishReason,
    KickaiSettings,
    ProviderInfo,
    ProviderSettings,
    Reply,
    ReplyChunk,
    Resolver,
    Secret,
    Settings,
    hookimpl,
)
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.testing.faults import Fault

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
from kestrel.plugin import KestrelPlugin
from kestrel.plugin import plugin as kestrel
from kestrel.settings import KestrelSettings
from kestrel.wire import KestrelWire

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from threading import Event

    from kickai_providers_core.testing.faults.exchange import Exchange
    from kickai_providers_core.values.events import Observer

__all__ = [
    "Careless",
    "Dribble",
    "Endless",
    "HeldBack",
    "KestrelWire",
    "everyone",
    "instance",
    "kestrel",
    "make_resolver",
    "pairs",
]

PROVIDERS = ("kestrel", "careless", "heedless")
"""Who enforces the timeouts: the provider itself; the core, in a thread; the core, by cancelling."""

HOUR_S = 3600.0
NEVER, USUAL = Hedging(), Policy()


def everyone(*ways: str) -> list[tuple[str, str]]:
    """Return each provider with each way of calling; one with only async hooks is called asynchronously."""
    return [(who, way) for who in PROVIDERS for way in ways if who != "heedless" or way.startswith("a")]


def pairs(*ways: str) -> pytest.MarkDecorator:
    """Return the parameters ``provider`` and ``way`` of a test. Half of the pairs are slow: each way has a fast one."""
    found = [
        pytest.param(
            who,
            way,
            id=f"{who}: {way}",
            marks=[] if (PROVIDERS.index(who) + ways.index(way)) % 2 == 0 else pytest.mark.slow,
        )
        for who, way in everyone(*ways)
    ]
    return pytest.mark.parametrize(("provider", "way"), found)


class Careless:
    """A provider without timeouts: one sync hook, one sync stream, the standard library.

    A call cannot be stopped, and ends at the vendor's own timeout.

    Attributes:
        timeout_s: The vendor's own timeout.
        url: The address of the service.
    """

    timeout_s = 1.0

    def __init__(self, url: str) -> None:
        self.url = url

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="careless", summary="")

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    def open(self, *, live: bool) -> Any:
        """Send a request, without a limit of its own."""
        body = json.dumps({"model": "m", "live": live, "messages": []}).encode()
        try:
            return urlopen(Request(f"{self.url}/v1/answers", data=body), timeout=self.timeout_s)  # noqa: S310
        except HTTPError as error:
            error.close()
            raise

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        with self.open(live=False) as answer:
            return Reply(text=json.load(answer)["says"], finish_reason=FinishReason.STOP)

    @hookimpl
    def kickai_stream_provider(self) -> Iterator[ReplyChunk]:
        with self.open(live=True) as answer:
            for line in answer:
                event = json.loads(line)
                yield ReplyChunk(
                    text=event.get("says", ""), finish_reason=FinishReason.STOP if "why" in event else None
                )


class Heedless(KestrelPlugin):
    """A provider with native async hooks and without timeouts."""

    info = evolve(KestrelPlugin.info, name="heedless", aliases=(), environment={}, models={}, holds_timeouts=False)

    def client(self, settings: Any) -> Any:
        """Return a client whose timeouts never expire."""
        patient = ("connect_timeout_s", "first_token_timeout_s", "idle_timeout_s")
        return super().client(evolve(settings, **dict.fromkeys(patient, HOUR_S)))

    @hookimpl
    async def kickai_ainvoke_provider(self, provider: Any, request: Any) -> Any:
        return await provider.ainvoke(request, HOUR_S)

    @hookimpl
    def kickai_astream_provider(self, provider: Any, request: Any) -> Any:
        return provider.astream(request, HOUR_S)


def instance(kind: str, url: str, **settings: Any) -> ProviderSettings:
    """Return the settings of one of the three, without retries by default."""
    settings = {"kind": kind, "retries": 0, **settings}
    if kind == "careless":
        return ProviderSettings(**settings)
    return KestrelSettings(url=url, key=Secret("k"), **settings)


def make_resolver(
    url: str,
    *,
    hedging: Hedging = NEVER,
    policy: Policy = USUAL,
    observers: Sequence[Observer] = (),
    **instances: ProviderSettings,
) -> Resolver:
    """Return a resolver of all three at one service, and of the other given instances."""
    settings = Settings(
        kickai=KickaiSettings(plugins=()),
        providers={**{kind: instance(kind, url) for kind in PROVIDERS}, **instances},
        hedging=hedging,
        policy=policy,
    )
    plugins = {"kestrel": kestrel, "careless": Careless(url), "heedless": Heedless()}
    return Resolver.from_settings(settings, plugins=plugins, observers=observers)


@frozen
class Dribble(Fault):
    """A good stream whose first piece comes at once and the rest one byte at a time."""

    interval_s: float

    async def play(self, exchange: Exchange) -> None:
        """Send the head and a piece, then drip."""
        answer = exchange.answer()
        await exchange.link.send(answer.head + answer.parts[0])
        for byte in b"".join((*answer.parts[1:], answer.end)):
            await asyncio.sleep(self.interval_s)
            await exchange.link.send(bytes((byte,)))


@frozen
class Endless(Fault):
    """A stream of good pieces that never ends; without an interval, as fast as the client reads."""

    interval_s: float = 0.0

    async def play(self, exchange: Exchange) -> None:
        """Send the head, then the first piece for ever."""
        answer = exchange.answer()
        pieces = answer.parts[0] if self.interval_s else answer.parts[0] * 100
        await exchange.link.send(answer.head)
        while True:
            await exchange.link.send(pieces)
            await asyncio.sleep(self.interval_s)


@frozen
class HeldBack(Fault):
    """A good answer that is sent when it is released."""

    released: Event

    async def play(self, exchange: Exchange) -> None:
        """Wait for the release, then answer."""
        while not self.released.is_set():  # noqa: ASYNC110  it is set on another thread
            await asyncio.sleep(0.005)
        await exchange.send(exchange.answer())
