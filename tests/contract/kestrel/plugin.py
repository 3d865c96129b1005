"""The hooks, as methods, so that a mutant can override one of them."""

from __future__ import annotations

from kestrel.settings import KestrelSettings
from kickai_providers_core.plugin_api.hookspecs import ModelInfo, Progress, ProviderInfo, hookimpl
from kickai_providers_core.values.errors import Problem
from kickai_providers_core.values.events import AttemptEnded
from kickai_providers_core.values.requests import Capability


class KestrelPlugin:
    """The provider plugin of an invented service."""

    info = ProviderInfo(
        name="kestrel",
        summary="An invented service that tests the conformance tests",
        settings_class=KestrelSettings,
        aliases=("falcon",),
        capabilities=frozenset(Capability),
        environment={"KESTREL_API_KEY": "key", "KESTREL_URL": "url"},
        models={"kestrel-1": ModelInfo(context_window=4096)},
        options={"wings": int, "call": str},
        holds_timeouts=True,
    )

    attempts = 0

    def client(self, settings):
        """Return a new client."""
        from kestrel.client import Client

        return Client(settings)

    @hookimpl
    def kickai_provider_info(self):
        """Describe the provider."""
        return self.info

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Return a problem when the key is missing or, online, rejected."""
        if not settings.key:
            hint = "set KESTREL_API_KEY"
            return [Problem(path="key", message="the key is missing", hint=hint, missing="KESTREL_API_KEY")]
        return self.find_online_problems(settings) if online else []

    def find_online_problems(self, settings):
        """Send a small request to the service; return its error as a problem."""
        from kickai_providers_core.values.errors import ProviderError
        from kickai_providers_core.values.requests import ChatRequest

        try:
            self.client(settings).invoke(ChatRequest.of("ping"), settings.timeout_s)
        except ProviderError as error:
            return [Problem(path="", message=error.message)]
        return []

    @hookimpl
    def kickai_provider_capabilities(self, settings, model):
        """Return the same capabilities for every account."""
        return self.info.capabilities

    @hookimpl
    def kickai_prepare_provider(self, settings, model):
        """Report that there is nothing to prepare."""
        yield Progress(status=f"{model} is always ready", completed=1, total=1)

    @hookimpl
    def kickai_create_provider(self, settings):
        """Create a client."""
        return self.client(settings)

    @hookimpl
    def kickai_invoke_provider(self, provider, request, timeout_s):
        """Return a reply."""
        return provider.invoke(request, timeout_s)

    @hookimpl
    async def kickai_ainvoke_provider(self, provider, request, timeout_s):
        """Call the service."""
        return await provider.ainvoke(request, timeout_s)

    @hookimpl
    def kickai_stream_provider(self, provider, request, timeout_s):
        """Return a stream."""
        return provider.stream(request, timeout_s)

    @hookimpl
    def kickai_astream_provider(self, provider, request, timeout_s):
        """Return a stream."""
        return provider.astream(request, timeout_s)

    @hookimpl
    def kickai_close_provider(self, provider):
        """Close the client."""
        provider.close()

    @hookimpl
    async def kickai_aclose_provider(self, provider):
        """Close the client."""
        provider.close()

    @hookimpl
    def kickai_rank_targets(self, request, targets):
        """Keep its own targets only when the request has tools."""
        return [target for target in targets if target.provider == "kestrel"] if request.tools else None

    @hookimpl
    def kickai_observe(self, event):
        """Count the attempts."""
        self.attempts += isinstance(event, AttemptEnded)


plugin = KestrelPlugin()
