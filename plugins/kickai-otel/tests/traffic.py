"""Real requests of every kind that the dashboard shows."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from attrs import define, evolve, field
from kickai_providers_core import KickaiError
from kickai_providers_core.values.events import Event
from scene import PROMPT, Scene

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core import Resolver

__all__ = ["Traffic"]

ROLES = {"scout": {"chain": ["actor:down", "gemini:ok"]}, "coach": {"chain": ["actor:busy"]}}
FRAGILE = {"max_errors": 1, "cooldown_s": 0.05, "max_cooldown_s": 0.1}
STURDY = {"max_errors": 1_000_000}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "fragile": {"roles": ROLES, "breaker": FRAGILE, "providers": {"actor": {"retries": 0}}},
    "retrying": {"roles": ROLES, "breaker": STURDY, "policy": {"backoff_initial_s": 0.05, "backoff_max_s": 0.05}},
    "thrifty": {"roles": ROLES, "breaker": STURDY, "policy": {"retry_share": 0, "retry_floor": 0}},
    "hedging": {"hedging": {"after_s": 0.01, "floor": 1_000_000, "budget": 1}},
    "queueing": {"providers": {"actor": {"max_concurrency": 1}}},
}


class RolloutMoved(Event):
    """An event of a class that the plugin does not know."""


@define
class Traffic:
    """Resolvers that report to a scene's observer; their requests belong to the two arms of a rollout in turn."""

    scene: Scene
    resolvers: dict[str, Resolver] = field(factory=dict)
    _stack: ExitStack = field(factory=ExitStack)

    def __enter__(self) -> Self:
        observer = self.scene.observer

        def observe(event: Event) -> None:
            observer(evolve(event, arm="candidate" if event.request % 2 else "control"))

        for name, settings in SETTINGS.items():
            self.resolvers[name] = self._stack.enter_context(self.scene.open(settings, observer=observe))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def send(self) -> None:
        """Send some requests of each kind, and wait for their ends."""
        for name in ("fragile", "retrying", "thrifty"):
            for role in ("scout", "coach", "scout", "coach", "scout"):
                self._ask(name, role)
        for _ in range(2):
            self.resolvers["hedging"].chain("actor:hang", "gemini:ok").invoke(PROMPT)
            list(self.resolvers["hedging"].chain("gemini:ok").stream(PROMPT))
            self._queue()
        self.scene.observer(RolloutMoved(0, None))

    def _ask(self, name: str, role: str) -> None:
        try:
            self.resolvers[name].for_role(role).invoke(PROMPT)
        except KickaiError:
            assert role == "coach"

    def _queue(self) -> None:
        chain = self.resolvers["queueing"].chain("actor:ok")
        holder = chain.stream(PROMPT)
        next(holder)
        waiting = threading.Thread(target=chain.invoke, args=(PROMPT,))
        waiting.start()
        while not any(request.queued for request in tuple(self.scene.observer._open._open.values())):
            time.sleep(0.002)
        list(holder)
        waiting.join()
