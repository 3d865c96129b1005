"""What a test needs of a provider. A test whose needs are not met is skipped with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import fields

from kickai_providers_core.testing.contract.helpers.constants import KEY, STREAMS

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.values.replies import FinishReason
    from kickai_providers_core.values.requests import Capability

__all__ = [
    "find_key_fields",
    "require_capability",
    "require_finish_reason",
    "require_key",
    "require_native",
    "require_stream",
]


def find_key_fields(harness: ProviderHarness) -> list[str]:
    """Return the names of the settings that hold the key."""
    names = (field.name for field in fields(type(harness.settings)))
    return [name for name in names if getattr(harness.settings, name) == KEY]


def require_key(harness: ProviderHarness) -> None:
    """Skip the test for a provider without a key."""
    if not find_key_fields(harness):
        pytest.skip("not applicable: no setting holds the key")


def require_native(harness: ProviderHarness, *modes: Mode) -> None:
    """Skip the test unless the plugin implements at least one of the modes."""
    if not harness.info.native.intersection(modes):
        pytest.skip(f"not applicable: the plugin leaves {' and '.join(modes)} to the core")


def require_stream(harness: ProviderHarness, mode: Mode) -> None:
    """Skip the test when the core makes the stream from a whole answer."""
    require_native(harness, *(STREAMS if mode == "astream" else (mode,)))


def require_finish_reason(harness: ProviderHarness, reason: FinishReason) -> None:
    """Skip the test unless the wire's answers can have this finish reason."""
    if reason not in harness.spec.finish_reasons:
        pytest.skip(f"not applicable: finish_reasons does not contain {reason.value}")


def require_capability(harness: ProviderHarness, capability: Capability) -> None:
    """Skip the test unless the plugin has this capability."""
    if capability not in harness.info.capabilities:
        pytest.skip(f"not applicable: the provider does not have the capability {capability.value}")
