"""What well-known models of Ollama's library cannot do, by their names; nothing is asked."""

from __future__ import annotations

from kickai_providers_core import Capability

__all__ = ["lacking"]

_IMAGES = frozenset({Capability.IMAGES})
_TOOLS = frozenset({Capability.TOOLS})

_FAMILIES = {
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
"""From https://ollama.com/library. A model that is not here may be able to do everything."""


def lacking(model: str) -> frozenset[Capability]:
    """Return what a model is known to be unable to do; nothing for models that other people have published."""
    family = model.removeprefix("library/").partition(":")[0].lower()
    return _FAMILIES.get(family, frozenset())
