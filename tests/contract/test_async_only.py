"""Providers with asynchronous hooks only pass every conformance test; the core derives their sync modes."""

from __future__ import annotations

import pytest
from attrs import evolve
from kestrel.plugin import KestrelPlugin
from kestrel.settings import KestrelSettings
from kestrel.wire import KestrelWire

from kickai_providers_core.authoring import hooks_for
from kickai_providers_core.plugin_api.hookspecs import hookimpl
from kickai_providers_core.testing import ProviderContract
from kickai_providers_core.values.replies import FinishReason

FULL = KestrelPlugin()
INFO = evolve(FULL.info, holds_timeouts=False)


class TwoHooks:
    """A plugin that implements ``ainvoke`` and ``astream``, and what every plugin must."""

    @hookimpl
    def kickai_provider_info(self):
        """Describe the provider."""
        return INFO

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Return a problem when the key is missing."""
        return FULL.kickai_validate_provider(settings, online)

    @hookimpl
    def kickai_create_provider(self, settings):
        """Create a client."""
        return FULL.client(settings)

    @hookimpl
    async def kickai_ainvoke_provider(self, provider, request, timeout_s):
        """Call the service."""
        return await provider.ainvoke(request, timeout_s)

    @hookimpl
    def kickai_astream_provider(self, provider, request, timeout_s):
        """Return a stream."""
        return provider.astream(request, timeout_s)


two_hooks = TwoHooks()


class TwoMethods:
    """The same as a class. It also closes on an event loop only."""

    def __init__(self, settings):
        self._client = FULL.client(settings)

    async def ainvoke(self, request, timeout_s):
        """Call the service."""
        return await self._client.ainvoke(request, timeout_s)

    async def astream(self, request, timeout_s):
        """Yield the chunks of an answer."""
        async for chunk in self._client.astream(request, timeout_s):
            yield chunk

    async def aclose(self):
        """Close the client."""
        self._client.close()


def validate(settings):
    """Return a problem when the key is missing."""
    return FULL.kickai_validate_provider(settings, online=False)


two_methods = hooks_for(INFO, TwoMethods, validate=validate)


class Suite(ProviderContract):
    """What the tests need to know."""

    __test__ = False
    wire = KestrelWire()
    vendor = ("kestrel.client",)
    finish_reasons = frozenset(FinishReason) - {FinishReason.ERROR}

    def settings(self, url, key):
        """Return settings for the fault server."""
        return KestrelSettings(url=url, key=key)


@pytest.mark.slow
class TestTwoHooks(Suite):
    """A plugin with two hooks."""

    __test__ = True
    plugin = two_hooks


@pytest.mark.slow
class TestTwoMethods(Suite):
    """A class with two methods."""

    __test__ = True
    plugin = two_methods
