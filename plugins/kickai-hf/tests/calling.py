"""Calls a provider in one of the four modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.testing import Ended, ProviderCaller

if TYPE_CHECKING:
    from kickai_providers_core import ChatRequest

    from kickai_hf.client import HuggingFace

MODES = ("invoke", "ainvoke", "stream", "astream")


def call(provider: HuggingFace, mode: str, request: ChatRequest | str = "ping", timeout_s: float = 10.0) -> Ended:
    """Call once; the async modes run on a new event loop."""
    return ProviderCaller(provider)(mode, request, timeout_s)


async def acall(
    provider: HuggingFace, mode: str, request: ChatRequest | str = "ping", timeout_s: float = 10.0
) -> Ended:
    """Call once on the running loop."""
    return await ProviderCaller(provider).acall(mode, request, timeout_s)
