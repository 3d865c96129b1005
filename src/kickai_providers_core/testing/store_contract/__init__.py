"""The conformance tests of stores: what every store must do, wherever it keeps things.

Subclass `StoreContract` in a test module, and pytest collects the tests. They need no pytest plugin.
"""

from kickai_providers_core.testing.store_contract.store_contract import StoreContract

__all__ = ["StoreContract"]
