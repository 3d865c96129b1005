"""The options that only this provider knows: ``options={"gemini": {"top_k": 40}}``. Pure.

See ai.google.dev/api/generate-content#generationconfig and #safetysetting for their meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

from kickai_providers_core import UnsupportedRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core import ChatRequest

__all__ = ["OPTIONS", "SafetySetting", "add_options"]


class SafetySetting(TypedDict):
    """What the service blocks in one category."""

    category: Literal[
        "HARM_CATEGORY_HARASSMENT",
        "HARM_CATEGORY_HATE_SPEECH",
        "HARM_CATEGORY_SEXUALLY_EXPLICIT",
        "HARM_CATEGORY_DANGEROUS_CONTENT",
        "HARM_CATEGORY_CIVIC_INTEGRITY",
    ]
    threshold: Literal["OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE"]


OPTIONS: Mapping[str, Any] = {
    "safety_settings": list[SafetySetting],
    "top_k": int,
    "frequency_penalty": float,
    "presence_penalty": float,
    "thinking_level": Literal["minimal", "low", "medium", "high"],
    "thinking_budget": int,
    "include_thoughts": bool,
    "cached_content": str,
}
"""The names and types of the options."""

CONFIG = {"top_k": "topK", "frequency_penalty": "frequencyPenalty", "presence_penalty": "presencePenalty"}
THINKING = {
    "thinking_level": "thinkingLevel",
    "thinking_budget": "thinkingBudget",
    "include_thoughts": "includeThoughts",
}
OLD_OPTIONS = frozenset({"safety_settings", "top_k"})
"""Those that every version of google-generativeai can send."""


def add_options(request: ChatRequest, body: dict[str, Any], config: dict[str, Any], *, is_current: bool) -> None:
    """Add the options of a request to its body and its generation config.

    Args:
        request: The request; the core has checked its options.
        body: The body; changed.
        config: The generation config; changed. A thinking option outranks the setting.
        is_current: Whether the client can send everything that the API takes today.

    Raises:
        UnsupportedRequestError: The client cannot send an option.
    """
    options = request.options.get("gemini", {})
    unsent = sorted(options.keys() - OLD_OPTIONS)
    if unsent and not is_current:
        raise UnsupportedRequestError(f"google-generativeai cannot send the option {unsent[0]!r}; use google-genai")
    config |= {CONFIG[name]: value for name, value in options.items() if name in CONFIG}
    thinking = {THINKING[name]: value for name, value in options.items() if name in THINKING}
    if "thinkingLevel" in thinking:
        thinking["thinkingLevel"] = thinking["thinkingLevel"].upper()
    if thinking:
        own = config.get("thinkingConfig", {})
        if "thinkingBudget" in thinking:  # the service takes one of both
            own = {}
        config["thinkingConfig"] = {**own, **thinking}
    if "safety_settings" in options:
        body["safetySettings"] = [dict(each) for each in options["safety_settings"]]
    if "cached_content" in options:
        body["cachedContent"] = options["cached_content"]
