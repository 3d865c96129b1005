"""The hooks of the Gemini provider. The HTTP library is imported when a provider is created."""

from __future__ import annotations

from datetime import UTC, datetime

from kickai_providers_core import ProviderInfo
from kickai_providers_core.authoring import hooks_for

from kickai_gemini.capabilities import ALL_CAPABILITIES, find_capabilities
from kickai_gemini.checks import validate
from kickai_gemini.known_models import build_model_infos
from kickai_gemini.request_options import OPTIONS
from kickai_gemini.settings import GeminiSettings

__all__ = ["plugin"]

plugin = hooks_for(
    ProviderInfo(
        name="gemini",
        aliases=("google",),
        summary="Google Gemini, with google-genai or google-generativeai",
        settings_class=GeminiSettings,
        capabilities=ALL_CAPABILITIES,
        environment={"GOOGLE_API_KEY": "api_key", "GEMINI_API_KEY": "api_key"},
        models=build_model_infos(datetime.now(UTC).date()),
        options=OPTIONS,
        holds_timeouts=True,
    ),
    "kickai_gemini.client:Gemini",
    methods=("invoke", "ainvoke", "stream", "astream", "close", "aclose"),
    validate=validate,
    capabilities=find_capabilities,
)
