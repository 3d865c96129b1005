"""What well-known models of Ollama's library can do, by their names and offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core import Capability

if TYPE_CHECKING:
    from kickai_ollama.settings import OllamaSettings

__all__ = ["find_capabilities"]

_IMAGES = frozenset({Capability.IMAGES})
_TOOLS = frozenset({Capability.TOOLS})

_LACKING = {
    **dict.fromkeys(
        (
            "llama3.1", "llama3.2", "llama3.3", "qwen2", "qwen2.5", "qwen2.5-coder", "qwen3", "mistral", "mistral-nemo",
            "mixtral", "smollm2", "deepseek-r1", "phi4-mini", "gpt-oss", "command-r", "granite3.3",
        ),
        _IMAGES,
    ),
    **dict.fromkeys(("gemma3", "llava", "llava-llama3", "bakllava", "moondream"), _TOOLS),
    **dict.fromkeys(
        (
            "llama2", "llama3", "gemma", "gemma2", "phi", "phi3", "phi4", "tinyllama", "smollm", "codellama",
            "codegemma", "deepseek-coder", "orca-mini", "vicuna", "starcoder2",
        ),
        _IMAGES | _TOOLS,
    ),
}  # fmt: skip
"""From https://ollama.com/library. A model that is not listed may be able to do everything."""


def find_capabilities(settings: OllamaSettings, model: str | None) -> frozenset[Capability] | None:
    """Return the capabilities that the settings state, or those of the model.

    None for an unknown model and for one that other people have published.
    """
    if settings.capabilities is not None:
        return frozenset(settings.capabilities)
    family = (model or settings.model or "").removeprefix("library/").partition(":")[0].lower()
    lacking = _LACKING.get(family)
    return None if lacking is None else frozenset(Capability) - lacking
