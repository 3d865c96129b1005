"""The conformance tests: what every provider must do, whatever its service is.

Subclass `ProviderContract` in a test module, describe the provider and its service there, and pytest collects the
tests. They need no pytest plugin.
"""

from kickai_providers_core.testing.contract.helpers.constants import KEY, PROMPT
from kickai_providers_core.testing.contract.provider_contract import ProviderContract, standard_tests

__all__ = ["KEY", "PROMPT", "ProviderContract", "standard_tests"]
