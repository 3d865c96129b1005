"""The settings of a Gemini instance."""

from __future__ import annotations

from typing import Literal, get_args

from attrs import field, frozen
from attrs.validators import in_, matches_re, optional
from kickai_providers_core import ProviderSettings, Secret
from kickai_providers_core.plugin_api.settings import service_address

from kickai_gemini.known_models import DEFAULT_MODEL

__all__ = ["Client", "GeminiSettings", "Sampling", "ThinkingLevel"]

Client = Literal["auto", "google-genai", "google-generativeai"]
"""Which of Google's clients is used; ``auto`` prefers google-genai."""

ThinkingLevel = Literal["minimal", "low", "medium", "high"]
"""How much a model may think before it answers."""

Sampling = Literal["auto", "always", "never"]
"""Whether temperature and top_p are sent; ``auto`` sends them to the models that take them."""


@frozen(kw_only=True)
class GeminiSettings(ProviderSettings):
    """One ``[providers.NAME]`` table of kind ``gemini``.

    Attributes:
        model: The model of targets that name none.
        api_key: A key from Google AI Studio; for the instance named ``gemini`` it comes from ``GOOGLE_API_KEY``, or
            ``GEMINI_API_KEY`` when that is not set.
        client: Which of Google's Python clients is used; ``auto`` prefers google-genai.
        base_url: Scheme and host of the Gemini API. No environment variable changes it.
        thinking_level: How much the model may think; None leaves it to the model. Thinking costs tokens and counts
            towards ``max_tokens``. Only google-genai can send it.
        sampling: Whether temperature and top_p are sent: ``auto``, to the models that take them; ``always``;
            ``never``.
    """

    model: str | None = DEFAULT_MODEL
    api_key: Secret = field(factory=lambda: Secret(""))
    client: Client = field(default="auto", validator=in_(get_args(Client)))
    base_url: str = field(
        default="https://generativelanguage.googleapis.com",
        validator=matches_re(r"https?://[^/?#@\s]+/?"),
        metadata=service_address("https://generativelanguage.googleapis.com"),
    )
    thinking_level: ThinkingLevel | None = field(default=None, validator=optional(in_(get_args(ThinkingLevel))))
    sampling: Sampling = field(default="auto", validator=in_(get_args(Sampling)))
