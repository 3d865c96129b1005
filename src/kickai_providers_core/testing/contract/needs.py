"""What a test needs of a provider; where that is lacking the test is skipped, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import fields

from kickai_providers_core.testing.contract.givens import KEY, STREAMS

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.subject import Subject
    from kickai_providers_core.values.replies import FinishReason
    from kickai_providers_core.values.requests import Capability

__all__ = ["fields_with_key", "need_capability", "need_finish", "need_key", "need_native", "need_stream"]


def fields_with_key(subject: Subject) -> list[str]:
    """Return the names of the settings that hold the key."""
    names = (field.name for field in fields(type(subject.settings)))
    return [name for name in names if getattr(subject.settings, name) == KEY]


def need_key(subject: Subject) -> None:
    """Skip the test for a provider that is given no key."""
    if not fields_with_key(subject):
        pytest.skip("not applicable: the settings hold no key")


def need_native(subject: Subject, *modes: Mode) -> None:
    """Skip the test unless the plugin implements one of the modes itself."""
    if not subject.info.native.intersection(modes):
        pytest.skip(f"not applicable: the plugin leaves {' and '.join(modes)} to the core")


def need_stream(subject: Subject, mode: Mode) -> None:
    """Skip the test when the core makes a stream out of a whole answer."""
    need_native(subject, *(STREAMS if mode == "astream" else (mode,)))


def need_finish(subject: Subject, reason: FinishReason) -> None:
    """Skip the test unless the wire's answers can stop for this reason."""
    if reason not in subject.supplied.finish_reasons:
        pytest.skip(f"not applicable: the service's answers never stop for {reason.value}")


def need_capability(subject: Subject, capability: Capability) -> None:
    """Skip the test unless the plugin claims this capability."""
    if capability not in subject.info.capabilities:
        pytest.skip(f"not applicable: the provider does not claim {capability.value}")
