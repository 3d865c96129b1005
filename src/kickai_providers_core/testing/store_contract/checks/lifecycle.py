"""Opening, checking and closing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.stores.urls import StoreUrl
from kickai_providers_core.testing.store_contract.spec import StoreSpec

if TYPE_CHECKING:
    from kickai_providers_core.stores.api import Store

__all__ = ["LifecycleTests"]


class LifecycleTests(StoreSpec):
    """A store can be checked, closed, and used again."""

    def test_its_state_is_described(self, store: Store) -> None:
        """Checking it leaves nothing behind."""
        status = store.check()
        assert status.kind
        assert status.location
        assert status.schema_version >= 1
        assert all(isinstance(text, str) for each in status.details.items() for text in each)
        assert all(isinstance(warning, str) for warning in status.warnings)
        assert [*store.metrics.read(), *store.health.read()] == []

    def test_nothing_shows_its_credentials(self, store: Store, url: str) -> None:
        """Neither its repr nor its state."""
        address = StoreUrl.parse(url)
        for text in (repr(store), str(store), repr(store.check())):
            assert address.redact(text) == text or not address.is_remote

    def test_a_closed_store_opens_itself_again(self, store: Store) -> None:
        """It can be closed twice, and nothing is lost."""
        store.documents.write("rollout", {"n": 1}, expected_version=0)
        store.close()
        store.close()
        assert store.documents.read("rollout").value == {"n": 1}

    def test_another_store_has_nothing_of_it(self, store: Store, new_url: object) -> None:
        """Two addresses are two stores."""
        store.documents.write("rollout", {"n": 1}, expected_version=0)
        other = self.open(new_url())  # type: ignore[operator]  # a function that returns an address
        try:
            assert other.documents.read("rollout").version == 0
        finally:
            other.close()
