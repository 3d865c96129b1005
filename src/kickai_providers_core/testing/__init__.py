"""The kit for authors of providers: prove a plugin against the seam. Needs the extra ``testing``.

`ProviderContract` is the conformance tests, `faults` the server they run against, `strategies` makes requests and
replies for property tests. Only the first and the last need pytest and hypothesis, and import them when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kickai_providers_core.testing.contract import ProviderContract

__all__ = ["ProviderContract"]


def __getattr__(name: str) -> Any:
    if name == "ProviderContract":
        from kickai_providers_core.testing.contract import ProviderContract  # noqa: PLC0415 - it needs pytest

        return ProviderContract
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
