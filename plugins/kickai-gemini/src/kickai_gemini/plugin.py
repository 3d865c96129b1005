"""The hooks of the Gemini provider. The HTTP library is imported when a provider is created."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kickai_providers_core import ProviderInfo, hookimpl
from kickai_providers_core.authoring import hooks_for

from kickai_gemini.capabilities import ALL_CAPABILITIES, find_capabilities
from kickai_gemini.checks import find_problems
from kickai_gemini.client import Gemini
from kickai_gemini.models import known_models
from kickai_gemini.options import OPTIONS
from kickai_gemini.settings import GeminiSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kickai_providers_core import Capability, Problem

plugin = hooks_for(
    ProviderInfo(
        name="gemini",
        aliases=("google",),
        summary="Google Gemini, with google-genai or google-generativeai",
        settings_class=GeminiSettings,
        capabilities=ALL_CAPABILITIES,
        environment={"GOOGLE_API_KEY": "api_key", "GEMINI_API_KEY": "api_key"},
        models=known_models(datetime.now(UTC).date()),
        options=OPTIONS,
        holds_timeouts=True,
    ),
    Gemini,
)

kickai_provider_info = plugin.kickai_provider_info
kickai_create_provider = plugin.kickai_create_provider
kickai_invoke_provider = plugin.kickai_invoke_provider
kickai_ainvoke_provider = plugin.kickai_ainvoke_provider
kickai_stream_provider = plugin.kickai_stream_provider
kickai_astream_provider = plugin.kickai_astream_provider
kickai_close_provider = plugin.kickai_close_provider
kickai_aclose_provider = plugin.kickai_aclose_provider


@hookimpl
def kickai_provider_capabilities(settings: GeminiSettings, model: str | None) -> frozenset[Capability] | None:
    """Return what an instance can do with its client and a model."""
    return find_capabilities(settings, model)


@hookimpl
def kickai_validate_provider(settings: GeminiSettings, online: bool) -> Iterable[Problem]:
    """Return the problems of the settings."""
    return find_problems(settings, datetime.now(UTC).date(), online=online)
