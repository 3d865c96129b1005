"""A provider that speaks no HTTP is proved as far as that goes."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

from attrs import frozen

from kickai_providers_core.plugin_api.hookspecs import ProviderInfo, hookimpl
from kickai_providers_core.plugin_api.settings import ProviderSettings
from kickai_providers_core.testing import ProviderContract
from kickai_providers_core.testing.faults import Silence, Status
from kickai_providers_core.values import errors
from kickai_providers_core.values.replies import FinishReason, Reply

KINDS = {
    "rate_limit": errors.RateLimitedError,
    "auth": errors.AuthenticationError,
    "quota": errors.QuotaExhaustedError,
    "unavailable": errors.ProviderUnavailableError,
    "model_not_found": errors.ModelNotFoundError,
    "invalid_request": errors.InvalidRequestError,
    "context_length": errors.ContextLengthExceededError,
    "content_filter": errors.ContentFilteredError,
}


@frozen(kw_only=True)
class InProcessSettings(ProviderSettings):
    """What the next calls do.

    Attributes:
        fails: The kind of error that each call ends with.
        silent: Whether calls do not end.
    """

    fails: str = ""
    silent: bool = False


class InProcess:
    """A provider in the process itself, sync alone."""

    @hookimpl
    def kickai_provider_info(self):
        """Describe the provider."""
        return ProviderInfo(name="in-process", summary="A test's own", settings_class=InProcessSettings)

    @hookimpl
    def kickai_create_provider(self, settings):
        """Create a provider that has nothing but its settings."""
        return SimpleNamespace(settings=settings)

    @hookimpl
    def kickai_invoke_provider(self, provider, request, timeout_s):
        """Answer, or fail as told."""
        if provider.settings.silent:
            threading.Event().wait(timeout_s)
            time.sleep(0.01)
        if provider.settings.fails:
            raise KINDS[provider.settings.fails]("as told")
        return Reply(text="pong", finish_reason=FinishReason.STOP, model=request.model)


class TestInProcess(ProviderContract):
    """It passes what applies to it."""

    plugin = InProcess()
    needs_key = False

    def settings(self, url, key):
        """Answer well."""
        return InProcessSettings()

    def settings_for(self, fault):
        """Fail as a status would have it, or not at all."""
        if isinstance(fault, Status):
            return InProcessSettings(fails=fault.kind)
        return InProcessSettings(silent=True) if fault == Silence() else None
