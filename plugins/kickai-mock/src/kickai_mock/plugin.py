"""The hooks."""

from __future__ import annotations

from kickai_providers_core import Capability, ProviderInfo
from kickai_providers_core.authoring import hooks_for

from kickai_mock.client import MockProvider
from kickai_mock.settings import MockSettings

__all__ = ["plugin"]

plugin = hooks_for(
    ProviderInfo(
        name="mock",
        aliases=("fake",),
        summary="answers and fails as configured, for tests and drills",
        settings_class=MockSettings,
        capabilities=frozenset(Capability),
        environment={"KICKAI_MOCK_DRILL": "drill", "KICKAI_MOCK_REPLY": "reply", "KICKAI_MOCK_SEED": "seed"},
        options={"reply": str},
        holds_timeouts=True,
    ),
    MockProvider,
)
