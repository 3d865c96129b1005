"""The resolver of models that were given none."""

from __future__ import annotations

import atexit
from threading import Lock

from kickai_providers_core import Resolver

__all__ = ["get_default_resolver"]


class _Default:
    """Holds the resolver of the process. Safe to use from any thread, and in forked processes, as a resolver is."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._resolver: Resolver | None = None

    def get(self) -> Resolver:
        """Return the resolver, created from ``kickai.toml`` and the environment by the first call.

        Raises:
            ConfigError: The settings are invalid.
        """
        with self._lock:
            if self._resolver is None:
                self._resolver = Resolver.from_settings()
                atexit.register(self._resolver.close)
            return self._resolver


get_default_resolver = _Default().get
