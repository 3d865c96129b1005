"""What an instance can do, which depends on its client and on the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core import Capability

from kickai_gemini.known_models import DEFAULT_MODEL, strip_models_prefix
from kickai_gemini.sdk import GENAI, choose_sdk

if TYPE_CHECKING:
    from kickai_gemini.settings import GeminiSettings

__all__ = ["ALL_CAPABILITIES", "find_capabilities"]

ALL_CAPABILITIES = frozenset({Capability.TOOLS, Capability.JSON_SCHEMA, Capability.IMAGES, Capability.SEED})


def find_capabilities(settings: GeminiSettings, model: str | None) -> frozenset[Capability] | None:
    """Return what an instance can do; None when its client is not installed. Imports neither client.

    google-generativeai has no seed. The open Gemma 3 models take neither tools nor JSON schemas
    (ai.google.dev/gemma/docs/core/gemma_on_gemini_api).
    """
    sdk = choose_sdk(settings.client)
    if sdk is None:
        return None
    unsupported = set() if sdk == GENAI else {Capability.SEED}
    if strip_models_prefix(model or settings.model or DEFAULT_MODEL).startswith("gemma-3-"):
        unsupported |= {Capability.TOOLS, Capability.JSON_SCHEMA}
    return ALL_CAPABILITIES - unsupported
