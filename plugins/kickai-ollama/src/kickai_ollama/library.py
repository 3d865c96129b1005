"""The models that a server has: listing them, and pulling one more."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import ollama
from kickai_providers_core import ModelNotFoundError, Progress, ProviderUnavailableError
from kickai_providers_core.authoring import AttemptTimeouts

from kickai_ollama.exchange import Exchange, Transport, place
from kickai_ollama.failures import Scene, says_missing, translate

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from kickai_providers_core import ProviderError

    from kickai_ollama.pools import Pools
    from kickai_ollama.settings import OllamaSettings

__all__ = ["Library", "full_name"]

LIST_S = 5.0
"""How long listing may take: the server reads a directory."""

STALL_S = 60.0
"""How long a pull may be without any progress: the server itself tries its own downloads again meanwhile."""


def full_name(model: str) -> str:
    """Return a model's name with its tag, ``latest`` where none is written."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


class Library:
    """What a server has in store. Blocking; safe to share between threads.

    Args:
        settings: Where the server is.
        pools: The connections; closing them ends a pull.
    """

    def __init__(self, settings: OllamaSettings, pools: Pools) -> None:
        self._settings = settings
        self._pools = pools

    def names(self) -> tuple[str, ...]:
        """Return the models that can be asked, by full name, in the server's order.

        Raises:
            ProviderError: The server cannot be asked.
        """
        exchange = self._exchange(min(LIST_S, self._settings.timeout_s))
        try:
            with self._client(exchange) as client:
                return tuple(model.model for model in client.list().models if model.model)
        except Exception as exc:  # noqa: BLE001  whatever the client raises is translated
            error = self._error(exc, exchange, "")
        raise error

    def pull(self, model: str) -> Iterator[Progress]:
        """Pull a model, and yield how far it is, until it is there.

        Closing the iterator stops; a later pull goes on from where this one came.

        Raises:
            ModelNotFoundError: No library has it.
            ProviderError: The server cannot be asked, stalls, or fails.
        """
        exchange = self._exchange(float("inf"), {"model": model, "stream": True})
        sizes: dict[str, tuple[int, int]] = {}
        try:
            with (
                self._client(exchange) as client,
                closing(cast("Generator[Any]", client.pull(model, stream=True))) as steps,
            ):
                for step in steps:
                    yield _progress(step, sizes)
                    if step.status == "success":
                        return
                    exchange.timeouts.begin("idle")
            error: ProviderError = ProviderUnavailableError(f"pulling {model} ended before it was done")
        except Exception as exc:  # noqa: BLE001
            error = self._error(exc, exchange, model)
        raise error

    def _exchange(self, timeout_s: float, body: Mapping[str, Any] | None = None) -> Exchange:
        settings = self._settings
        stall_s = STALL_S if body else timeout_s
        timeouts = AttemptTimeouts(
            timeout_s,
            connect_timeout_s=settings.connect_timeout_s,
            first_token_timeout_s=stall_s,
            idle_timeout_s=stall_s,
        )
        return Exchange(timeouts, body, api_key=settings.sendable_key)

    def _client(self, exchange: Exchange) -> ollama.Client:
        return ollama.Client(transport=Transport(self._pools.blocking, exchange), **place(self._settings.address))

    def _error(self, exc: Exception, exchange: Exchange, model: str) -> ProviderError:
        if model and says_missing(exc):
            return ModelNotFoundError(f"there is no {model} to pull: see https://ollama.com/library")
        return translate(exc, Scene.of(self._settings, model, exchange)).with_traceback(None)


def _progress(step: ollama.ProgressResponse, sizes: dict[str, tuple[int, int]]) -> Progress:
    """Return how far a pull is, and keep the size of the layer that this step tells of."""
    if step.digest and step.total:
        sizes[step.digest] = (step.completed or 0, step.total)
    completed, total = (sum(column) for column in zip(*sizes.values(), strict=True)) if sizes else (0, 0)
    return Progress(status=step.status or "", completed=completed, total=total)
