"""A provider that does not use HTTP passes the tests that apply to it."""

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
    """Settings of the provider.

    Attributes:
        fails: The kind of error that each call raises.
        silent: Whether calls never return.
    """

    fails: str = ""
    silent: bool = False


class InProcess:
    """A provider without a service, with sync calls only."""

    @hookimpl
    def kickai_provider_info(self):
        """Describe the provider."""
        return ProviderInfo(name="in-process", summary="A provider for tests", settings_class=InProcessSettings)

    @hookimpl
    def kickai_create_provider(self, settings):
        """Return a provider that only holds its settings."""
        return SimpleNamespace(settings=settings)

    @hookimpl
    def kickai_invoke_provider(self, provider, request, timeout_s):
        """Return a reply, or fail as the settings say."""
        if provider.settings.silent:
            threading.Event().wait(timeout_s)
            time.sleep(0.01)
        if provider.settings.fails:
            raise KINDS[provider.settings.fails]("as configured")
        return Reply(text="pong", finish_reason=FinishReason.STOP, model=request.model)


class TestInProcess(ProviderContract):
    """It passes the tests that apply to it."""

    plugin = InProcess()
    needs_key = False

    def settings(self, url, key):
        """Return settings for good answers."""
        return InProcessSettings()

    def settings_for(self, fault):
        """Return settings for an error status or for silence."""
        if isinstance(fault, Status):
            return InProcessSettings(fails=fault.kind)
        return InProcessSettings(silent=True) if fault == Silence() else None
