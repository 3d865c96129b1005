"""What well-known models can do, from their cards on the Hub.

An inference provider may offer less than the model can do; its error then decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core import Capability, ModelInfo

if TYPE_CHECKING:
    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["DEFAULT_MODEL", "MODELS", "find_capabilities"]

DEFAULT_MODEL = "Qwen/Qwen2.5-7B-Instruct"
"""The router's model when none is named. Of the models that the role catalogue uses as fallbacks, it is the one that
takes system messages and tools and that several inference providers serve."""

_TEXT = frozenset({Capability.JSON_SCHEMA, Capability.SEED})
_CHAT = _TEXT | {Capability.TOOLS}

MODELS = {
    "Qwen/Qwen2.5-1.5B-Instruct": ModelInfo(context_window=32_768, capabilities=_CHAT),
    "Qwen/Qwen2.5-3B-Instruct": ModelInfo(context_window=32_768, capabilities=_CHAT),
    "Qwen/Qwen2.5-7B-Instruct": ModelInfo(context_window=32_768, capabilities=_CHAT),
    "google/gemma-2-2b-it": ModelInfo(context_window=8_192, capabilities=_TEXT),
    "meta-llama/Llama-3.1-8B-Instruct": ModelInfo(context_window=131_072, capabilities=_CHAT),
    "openai/gpt-oss-20b": ModelInfo(context_window=131_072, capabilities=_CHAT),
}


def find_capabilities(settings: HuggingFaceSettings, model: str | None) -> frozenset[Capability] | None:
    """Return what an instance can do with a model when its server limits it; None when it does not."""
    if settings.base_url is None:
        return None
    missing = {Capability.TOOLS, Capability.IMAGES} if settings.task == "text_generation" else set()
    if settings.schema_form == "none":
        missing.add(Capability.JSON_SCHEMA)
    if not missing:
        return None
    known = MODELS.get(model or settings.model or "")
    return ((known and known.capabilities) or frozenset(Capability)) - missing
