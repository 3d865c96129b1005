"""Tools that test a provider plugin or a store. They need the extra ``testing``.

`ProviderContract` and `StoreContract` hold the conformance tests, `FaultMatrix` the tests of a plugin's own faults.
`ProviderCaller` calls a provider in a mode by name. `faults` is the server that tests of providers run against, and
`strategies` generates requests and replies for property tests. The server needs the standard library only, so pytest
and hypothesis are imported with the names that need them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kickai_providers_core.testing.contract import ProviderContract
    from kickai_providers_core.testing.fault_matrix import FaultMatrix, FaultRow
    from kickai_providers_core.testing.provider_caller import Ended, ProviderCaller
    from kickai_providers_core.testing.store_contract import StoreContract

__all__ = ["Ended", "FaultMatrix", "FaultRow", "ProviderCaller", "ProviderContract", "StoreContract"]

MODULES = {
    "Ended": "provider_caller",
    "FaultMatrix": "fault_matrix",
    "FaultRow": "fault_matrix",
    "ProviderCaller": "provider_caller",
    "ProviderContract": "contract",
    "StoreContract": "store_contract",
}


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
