"""Values that all tests share: the modes, the request's text, the key, and time limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.values.secrets import Secret

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode

__all__ = ["GRACE_S", "KEY", "KIT_VERSION", "MODES", "PROMPT", "PROMPT_S", "QUICK_S", "STREAMS"]

KIT_VERSION = "0.2"
"""The version of the conformance kit; it increases when a plugin that passed may fail."""

MODES: tuple[Mode, ...] = ("invoke", "ainvoke", "stream", "astream")
STREAMS: tuple[Mode, ...] = ("stream", "astream")

KEY = Secret("canary-key-5c1e93b7d2")
"""The provider's key; if a test finds it outside a request's headers, the provider has leaked it."""

PROMPT = "canary-prompt: who can play on Saturday?"
"""The prompt."""

PROMPT_S = 10.0
"""The timeout of calls that are answered at once: long, so that no test fails on a slow machine."""

QUICK_S = 1.0
"""The time limit of creation, offline validation and clean-up; the core waits 0.25 s for a clean-up."""

GRACE_S = 2.0
"""How much longer than its timeout a call may take before the kit gives up on it, where no limit is tested."""
