"""Pulling models in the background, while the chain answers from its other targets."""

from __future__ import annotations

from threading import Lock, Thread
from typing import TYPE_CHECKING

from kickai_providers_core import ModelNotFoundError, Progress, ProviderError

from kickai_ollama.models import add_tag

if TYPE_CHECKING:
    from kickai_ollama.models import Models

__all__ = ["Pulls"]

RETRY_AFTER_S = 5.0
"""Seconds for which a target is suspended while its model is being pulled: asking costs the server nothing."""


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
