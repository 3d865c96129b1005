"""The resolver that serves requests, and its replacement while requests run."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import define, field

from kickai_gateway.guards import LocalGuards
from kickai_gateway.model_names import ModelTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core import Resolver

    from kickai_gateway.guards import Guards

__all__ = ["Generation", "Generations"]


@define(eq=False)
class Generation:
    """A resolver with the requests that use it. For one event loop.

    Attributes:
        resolver: The resolver.
        guards: The checks.
        models: The models that it serves.
        running: The number of requests that use it.
    """

    resolver: Resolver
    guards: Guards = field(factory=LocalGuards)
    models: ModelTable = field(init=False, repr=False)
    running: int = field(default=0, init=False)
    _idle: asyncio.Event = field(factory=asyncio.Event, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._idle.set()

    @models.default
    def _build_models(self) -> ModelTable:
        return ModelTable(self.resolver)

    @contextmanager
    def use(self) -> Iterator[None]:
        """Keep the resolver open within the ``with`` block."""
        self.running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.running -= 1
            if not self.running:
                self._idle.set()

    async def retire(self) -> None:
        """Close the resolver when no request uses it any more, or when this is cancelled."""
        try:
            await self._idle.wait()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the resolver, and return what the guards hold."""
        await self.resolver.aclose()
        await asyncio.to_thread(self.guards.close)


@define(eq=False)
class Generations:
    """The current generation, and those that still serve requests.

    Attributes:
        current: Serves new requests.
    """

    current: Generation
    _retiring: set[asyncio.Task[None]] = field(factory=set, init=False, repr=False)

    def replace(self, new: Generation) -> None:
        """Serve new requests with another resolver. The old one is closed when its requests have ended."""
        old, self.current = self.current, new
        task = asyncio.ensure_future(old.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def aclose(self) -> None:
        """Close every resolver; running requests may fail."""
        for task in list(self._retiring):
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await self.current.aclose()
