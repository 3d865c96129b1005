"""Pulling models in the background, while the chain answers from its other targets."""

from __future__ import annotations

from threading import Lock, Thread
from typing import TYPE_CHECKING

from kickai_providers_core import ModelNotFoundError, Progress, ProviderError

from kickai_ollama.library import full_name

if TYPE_CHECKING:
    from kickai_ollama.library import Library

__all__ = ["Pulls"]

ASK_AGAIN_S = 5.0
"""How long a target rests whose model is being pulled: asking costs the server nothing."""


class Pulls:
    """The pulls of one provider, one thread for each model. Safe to share between threads.

    A pull ends with the connections of its library.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = Lock()
        self._under_way: dict[str, Progress] = {}
        self._failed: dict[str, str] = {}

    def start(self, model: str) -> ModelNotFoundError:
        """Pull the model, unless that is under way; return the error that tells how far it is.

        After a pull that failed the error tells why, once, and the target gets the usual rest.
        """
        name = full_name(model)
        with self._lock:
            failed = self._failed.pop(name, None)
            if failed is not None:
                return ModelNotFoundError(f"pulling {model} failed: {failed}")
            if name not in self._under_way:
                self._under_way[name] = Progress(status="starting")
                Thread(target=self._run, args=(name,), name=f"pull-{name}", daemon=True).start()
            progress = self._under_way[name]
        return ModelNotFoundError(f"{model} is being pulled ({progress})", retry_after_s=ASK_AGAIN_S)

    def _run(self, name: str) -> None:
        try:
            for progress in self._library.pull(name):
                with self._lock:
                    self._under_way[name] = progress
        except ProviderError as error:
            with self._lock:
                self._failed[name] = error.message
        finally:
            with self._lock:
                del self._under_way[name]
