"""Calls a provider in one of the four modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.testing import Ended, ProviderCaller

if TYPE_CHECKING:
    from kickai_providers_core import ChatRequest

    from kickai_openai.client import OpenAIProvider

MODES = ("invoke", "ainvoke", "stream", "astream")
MODEL = "test-model"


def call(provider: OpenAIProvider, mode: str, request: ChatRequest | str = "ping", timeout_s: float = 10.0) -> Ended:
    """Call once; the async modes run on a new event loop."""
    return ProviderCaller(provider)(mode, request, timeout_s)
