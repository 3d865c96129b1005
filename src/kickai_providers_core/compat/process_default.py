"""The resolver that the functions of `compat` share: created on first use, and closed at exit.

Only `compat` has such a default. All other code gets its resolver as an argument.
"""

from __future__ import annotations

import atexit
import math
from threading import Lock
from typing import TYPE_CHECKING

from kickai_providers_core.concurrency.forking import ForkGuard
from kickai_providers_core.concurrency.single_flight import SingleFlight
from kickai_providers_core.plugin_api.extension_warnings import warn
from kickai_providers_core.resolver import Resolver
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.values.validation import describe_type, raise_argument_error

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ProcessDefault", "find_resolver", "get_resolver", "use", "warn_once"]


class ProcessDefault:
    """Holds the resolver of the process. Safe to use from any thread, and in forked processes.

    A forked child keeps the resolver, which opens its own connections there.

    Args:
        create: Creates a resolver.
    """

    def __init__(self, create: Callable[[], Resolver]) -> None:
        self._create = create
        self._resolver: Resolver | None = None
        self._is_own = False
        self._warned: set[str] = set()
        self._lock = Lock()
        self._creation = SingleFlight(self._create)
        # A child that was forked while another thread imports a plugin could never import it.
        self._fork_guard = ForkGuard([self], lambda: [self._creation])

    def renew_after_fork(self) -> None:
        """Replace what belongs to the threads of the parent."""
        self._lock, self._creation = Lock(), SingleFlight(self._create)

    def get(self) -> Resolver:
        """Return the resolver, and create it if there is none.

        Raises:
            ConfigError: The settings are invalid. The next call tries again.
        """
        while True:
            self._fork_guard.renew_if_forked()
            creation, resolver = self._creation, self._resolver
            if resolver is not None:
                return resolver
            created = creation.wait(math.inf)
            with self._lock:
                if self._creation is creation:
                    if self._resolver is None:
                        self._resolver, self._is_own = created, True
                        atexit.register(self.close)
                    return created
            created.close()  # it was replaced before it was ready

    def find(self) -> Resolver | None:
        """Return the resolver if there is one, without waiting."""
        return self._resolver

    def replace(self, resolver: Resolver | None) -> None:
        """Use another resolver, or None; close the one that was created here."""
        self._fork_guard.renew_if_forked()
        with self._lock:
            former, is_own = self._resolver, self._is_own
            self._resolver, self._is_own, self._warned = resolver, False, set()
            self._creation = SingleFlight(self._create)
        atexit.unregister(self.close)
        if former is not None and is_own:
            former.close()

    def close(self) -> None:
        """Close the resolver if it was created here, and forget it."""
        self.replace(None)

    def warn_once(self, text: str) -> None:
        """Write a warning, unless it was written since the resolver was last replaced."""
        self._fork_guard.renew_if_forked()
        with self._lock:
            if text in self._warned:
                return
            self._warned.add(text)
        warn(text)


def _create_resolver() -> Resolver:
    """Return a resolver for the settings that are found. Without a store it counts in memory, for the monitor."""
    resolver = Resolver.from_settings()
    if resolver.settings.store.url is not None:
        return resolver
    resolver.close()  # nothing has used it
    return Resolver(resolver.settings, resolver.discovery, store=MemoryStore())


_default = ProcessDefault(_create_resolver)


def get_resolver() -> Resolver:
    """Return the resolver of this process, which the first call creates from the settings as `Resolver.from_settings`.

    It is closed at exit. Without a ``[store]`` it counts in memory, so that `get_migration_monitor` has a report.

    Raises:
        ConfigError: The settings are invalid; it lists every problem.
    """
    return _default.get()


def find_resolver() -> Resolver | None:
    """Return the resolver that `get_resolver` would return, or None if it would have to create one."""
    return _default.find()


def use(resolver: Resolver | None) -> None:
    """Use a resolver for everything in `compat`, from the next call on.

    The caller closes it. A resolver that `compat` has created before is closed.

    Args:
        resolver: The resolver; None to create one from the settings again, with the next call.

    Raises:
        ArgumentTypeError: It is not a resolver.
    """
    if not isinstance(resolver, Resolver | None):
        raise_argument_error("resolver", "a Resolver or None", describe_type(resolver))
    _default.replace(resolver)


def warn_once(text: str) -> None:
    """Write a warning, unless the same one was written since `use` was last called."""
    _default.warn_once(text)
