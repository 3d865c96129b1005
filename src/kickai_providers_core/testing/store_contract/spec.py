"""What the author of a store says about it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from kickai_providers_core.plugin_api.store_opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from kickai_providers_core.stores.api import Store

__all__ = ["StoreSpec", "Ticker"]


class Ticker:
    """A clock that a test sets.

    Attributes:
        now_s: Its time in seconds.
    """

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        """Return its time."""
        return self.now_s


class StoreSpec:
    """The part of a `StoreContract` that a subclass fills in.

    Attributes:
        plugin: The name of the module with ``kickai_open_store``; empty for a built-in store. Each process of the
            tests imports it.
        namespace: The namespace that the store is opened with.
        is_shared: Whether several processes can share the store.
        expected_failures: From the name of a test that fails to the reason. Such a test must fail: if it passes, that
            is an error.
    """

    plugin: ClassVar[str] = ""
    namespace: ClassVar[str] = "tests"
    is_shared: ClassVar[bool] = True
    expected_failures: ClassVar[Mapping[str, str]] = {}

    def create_url(self, folder: Path) -> str:  # noqa: ARG002  for subclasses
        """Return the address of a store that is new and empty.

        Args:
            folder: An empty folder with a name of its own.
        """
        message = f"{type(self).__name__} must define create_url(folder)"
        raise TypeError(message)

    def open_with_clocks(
        self,
        url: str,  # noqa: ARG002  for subclasses
        clock: Callable[[], float],  # noqa: ARG002
        wall: Callable[[], float],  # noqa: ARG002
    ) -> Store | None:
        """Return a store with a monotonic clock and a wall clock that the test sets.

        Returns:
            The store, or None if it uses the clock of a server: those tests are then skipped.
        """
        return None

    def open(self, url: str) -> Store:
        """Return the store at an address."""
        plugins = {self.plugin: import_module(self.plugin)} if self.plugin else {}
        return open_store(url, namespace=self.namespace, plugins=plugins)

    def describe_task(self, url: str, task: str, name: str, **options: Any) -> dict[str, Any]:
        """Return a task for a process, or skip the test if processes do not share the store."""
        if not self.is_shared:
            pytest.skip("not applicable: is_shared is False")
        plugins = [self.plugin] if self.plugin else []
        place = {"url": url, "namespace": self.namespace, "plugins": plugins}
        return {**place, "task": task, "name": name, **options}

    def open_ticking(self, url: str) -> tuple[Store, Ticker, Ticker]:
        """Return a store with its monotonic clock and its wall clock, or skip the test."""
        clock, wall = Ticker(1000.0), Ticker(1_700_000_000.0)
        store = self.open_with_clocks(url, clock, wall)
        if store is None:
            pytest.skip("not applicable: the store uses the clock of a server")
        return store, clock, wall

    @pytest.fixture
    def new_url(self, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
        """Return a function that returns the address of another empty store."""
        return lambda: self.create_url(tmp_path_factory.mktemp("store"))

    @pytest.fixture
    def url(self, new_url: Callable[[], str]) -> str:
        """Return the address of an empty store."""
        return new_url()

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        """Open an empty store, and close it afterwards."""
        opened = self.open(url)
        yield opened
        opened.close()
