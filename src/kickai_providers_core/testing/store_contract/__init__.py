"""The conformance tests of stores: what every store must do, wherever it keeps things.

Subclass `StoreContract` in a test module, and pytest collects the tests. They need no pytest plugin.
"""

import pytest

# Before the modules are imported, so that each assertion of theirs shows its values.
pytest.register_assert_rewrite(f"{__name__}.checks", f"{__name__}.processes")

from kickai_providers_core.testing.store_contract.store_contract import StoreContract  # noqa: E402

__all__ = ["StoreContract"]
