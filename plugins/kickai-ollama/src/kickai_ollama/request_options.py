"""The options that only this provider knows: ``options={"ollama": {"top_k": 40}}``. Pure.

See https://github.com/ollama/ollama/blob/main/docs/modelfile.md for those of the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core import ChatRequest

__all__ = ["OPTIONS", "split_options"]

MODEL_OPTIONS: Mapping[str, Any] = {
    "top_k": int,
    "min_p": float,
    "typical_p": float,
    "repeat_penalty": float,
    "repeat_last_n": int,
    "presence_penalty": float,
    "frequency_penalty": float,
    "num_ctx": int,
    "num_keep": int,
    "num_gpu": int,
    "num_batch": int,
    "num_thread": int,
}

OPTIONS: Mapping[str, Any] = {
    **MODEL_OPTIONS,
    "think": bool | Literal["low", "medium", "high", "max"],
    "keep_alive": str | float,
}
"""The names and types of the options."""


def split_options(request: ChatRequest) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the options of a request for the model, and those for the server; the core has checked them."""
    options = request.options.get("ollama", {})
    model = {name: value for name, value in options.items() if name in MODEL_OPTIONS}
    return model, {name: value for name, value in options.items() if name not in MODEL_OPTIONS}
