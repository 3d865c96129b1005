"""The options that only this provider knows: ``options={"huggingface": {"top_k": 40}}``. Pure.

Which of them take effect depends on the server: TGI (https://huggingface.co/docs/text-generation-inference/reference/api_reference),
vLLM (https://docs.vllm.ai/en/latest/serving/openai_compatible_server/), or an inference provider of the router.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from kickai_providers_core import UnsupportedRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core import ChatRequest

__all__ = ["OPTIONS", "find_options", "find_text_options"]

OPTIONS: Mapping[str, Any] = {
    "frequency_penalty": float,
    "presence_penalty": float,
    "repetition_penalty": float,
    "logit_bias": dict[str, float],
    "reasoning_effort": Literal["none", "minimal", "low", "medium", "high", "xhigh"],
    "chat_template_kwargs": dict[str, Any],
    "top_k": int,
    "min_p": float,
    "typical_p": float,
    "watermark": bool,
}
"""The names and types of the options; a chat completion takes all of them."""

TEXT_OPTIONS = frozenset({"frequency_penalty", "repetition_penalty", "top_k", "typical_p", "watermark"})
"""Those that TGI's text generation takes."""


def find_options(request: ChatRequest) -> Mapping[str, Any]:
    """Return the options of a request for this provider; the core has checked them."""
    return request.options.get("huggingface", {})


def find_text_options(request: ChatRequest) -> Mapping[str, Any]:
    """Return the options for text generation.

    Raises:
        UnsupportedRequestError: Text generation does not take one of them.
    """
    options = find_options(request)
    unknown = sorted(options.keys() - TEXT_OPTIONS)
    if unknown:
        raise UnsupportedRequestError(f"text generation has no option {unknown[0]!r}")
    return options
