"""Pulling models: what a server has, and pulling another one, in the background while the chain answers otherwise."""

from __future__ import annotations

from contextlib import closing
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, cast

import ollama
from kickai_providers_core import ModelNotFoundError, Progress, ProviderError, ProviderUnavailableError
from kickai_providers_core.authoring import AttemptTimeouts

from kickai_ollama.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from kickai_providers_core.authoring import HttpTransport

    from kickai_ollama.settings import OllamaSettings

__all__ = ["Models", "Pulls", "add_tag"]

LIST_S = 5.0
"""Seconds that listing may take: the server reads a folder."""

STALL_S = 60.0
"""Seconds that a pull may make no progress: meanwhile the server retries its own downloads."""

RETRY_AFTER_S = 5.0
"""Seconds for which a target is suspended while its model is being pulled: asking costs the server nothing."""


def add_tag(model: str) -> str:
    """Return a model's name with its tag, which is ``latest`` when the name has none."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


class Models:
    """The models of a server. Blocking; safe to share between threads.

    Args:
        settings: Where the server is.
        connections: The connections; closing them ends a pull.
    """

    def __init__(self, settings: OllamaSettings, connections: HttpTransport) -> None:
        self._settings = settings
        self._connections = connections

    def list(self) -> tuple[str, ...]:
        """Return the names of the models with their tags, in the server's order.

        Raises:
            ProviderError: The server cannot be called.
        """
        timeouts = AttemptTimeouts(
            min(LIST_S, self._settings.timeout_s), connect_timeout_s=self._settings.connect_timeout_s
        )
        transport = Transport(self._connections, self._settings, timeouts)
        try:
            with ollama.Client(**transport.client_options) as client:
                return tuple(model.model for model in client.list().models if model.model)
        except Exception as exc:  # noqa: BLE001  whatever the client raises becomes a typed error
            error = transport.error_for(exc)
        raise error

    def pull(self, model: str) -> Iterator[Progress]:
        """Pull a model, and yield the progress until it is done.

        Closing the iterator stops the pull; a later pull continues where this one stopped.

        Raises:
            ModelNotFoundError: The library does not have it.
            ProviderError: The server cannot be called, stalls, or fails.
        """
        timeouts = AttemptTimeouts(
            float("inf"),
            connect_timeout_s=self._settings.connect_timeout_s,
            first_token_timeout_s=STALL_S,
            idle_timeout_s=STALL_S,
        )
        transport = Transport(
            self._connections, self._settings, timeouts, model=model, body={"model": model, "stream": True}
        )
        sizes: dict[str, tuple[int, int]] = {}
        try:
            with (
                ollama.Client(**transport.client_options) as client,
                closing(cast("Generator[Any]", client.pull(model, stream=True))) as steps,
            ):
                for step in steps:
                    yield _update_progress(step, sizes)
                    if step.status == "success":
                        return
                    timeouts.begin("idle")
            error: ProviderError = ProviderUnavailableError(f"pulling {model} ended before it was done")
        except Exception as exc:  # noqa: BLE001  as above
            error = transport.error_for(exc)
            if transport.lacks_model:
                error = ModelNotFoundError(f"there is no {model} to pull: see https://ollama.com/library")
        raise error


class Pulls:
    """The pulls of one provider, one thread for each model. Safe to share between threads.

    Closing the connections of the models ends a pull.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._lock = Lock()
        self._running: dict[str, Progress] = {}
        self._failures: dict[str, str] = {}

    def start(self, model: str) -> ModelNotFoundError:
        """Pull the model unless a pull is running; return the error that reports the progress.

        After a pull that failed, the next error reports the reason, and the target is suspended as usual.
        """
        name = add_tag(model)
        with self._lock:
            failure = self._failures.pop(name, None)
            if failure is not None:
                return ModelNotFoundError(f"pulling {model} failed: {failure}")
            if name not in self._running:
                self._running[name] = Progress(status="starting")
                Thread(target=self._run, args=(name,), name=f"pull-{name}", daemon=True).start()
            progress = self._running[name]
        return ModelNotFoundError(f"{model} is being pulled ({progress})", retry_after_s=RETRY_AFTER_S)

    def _run(self, name: str) -> None:
        try:
            for progress in self._models.pull(name):
                with self._lock:
                    self._running[name] = progress
        except ProviderError as error:
            with self._lock:
                self._failures[name] = error.message
        finally:
            with self._lock:
                del self._running[name]


def _update_progress(step: ollama.ProgressResponse, sizes: dict[str, tuple[int, int]]) -> Progress:
    """Return the progress of a pull, and note the size of this step's layer."""
    if step.digest and step.total:
        sizes[step.digest] = (step.completed or 0, step.total)
    completed, total = (sum(column) for column in zip(*sizes.values(), strict=True)) if sizes else (0, 0)
    return Progress(status=step.status or "", completed=completed, total=total)
