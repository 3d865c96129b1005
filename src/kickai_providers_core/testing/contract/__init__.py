"""The conformance tests: what every provider must do, whatever its service is.

Subclass `ProviderContract` in a test module, describe the provider and its service there, and pytest collects the
tests. They need no pytest plugin.
"""

import pytest

# Before the modules are imported, so that each assertion of theirs shows its values.
pytest.register_assert_rewrite(f"{__name__}.checks", f"{__name__}.helpers")

from kickai_providers_core.testing.contract.helpers.constants import KEY, KIT_VERSION, PROMPT  # noqa: E402
from kickai_providers_core.testing.contract.provider_contract import ProviderContract, standard_tests  # noqa: E402

__all__ = ["KEY", "KIT_VERSION", "PROMPT", "ProviderContract", "standard_tests"]
