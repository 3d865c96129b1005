"""Hooks that are wrong themselves."""

from __future__ import annotations

from attrs import evolve

from kestrel import eager
from kestrel.plugin import KestrelPlugin
from kestrel.wrong.register import mutant
from kickai_providers_core.hookspecs import hookimpl

mutant("test_discovery_imports_no_vendor")(eager.EagerPlugin, eager.plugin)


@mutant("test_a_missing_key_is_a_problem")
class MissesNothing(KestrelPlugin):
    """Finds no fault with a missing key."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Find nothing."""
        return self.asked(settings) if online and settings.key else []


@mutant("test_validating_online_ends_in_problems")
class RaisesOnline(KestrelPlugin):
    """Lets an error through when it validates online."""

    def asked(self, settings):
        """Raise what the service's answer stands for."""
        from kickai_providers_core.messages import ChatRequest

        self.client(settings).ask(ChatRequest.of("ping"), settings.timeout_s)
        return []


@mutant("test_preparing_tells_how_far_it_is")
class PreparesInWords(KestrelPlugin):
    """Tells how far it is in words of its own."""

    @hookimpl
    def kickai_prepare_provider(self, settings, model):
        """Yield text."""
        yield f"{model}: 100 %"


@mutant("test_validating_offline_asks_no_network")
class AlwaysAsks(KestrelPlugin):
    """Asks the service when it validates offline."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Ask."""
        problems = super().kickai_validate_provider(settings, online)
        return problems or self.asked(settings)


@mutant("test_environment_fills_fields")
class FillsNothing(KestrelPlugin):
    """Reads an environment variable into a field that it does not have."""

    info = evolve(KestrelPlugin.info, environment={"KESTREL_API_KEY": "key", "KESTREL_REGION": "region"})


@mutant("test_every_event_is_taken")
class KnowsEveryEvent(KestrelPlugin):
    """Lets a KeyError through for an event that it does not know."""

    @hookimpl
    def kickai_observe(self, event):
        """Look every attribute up."""
        event.attributes()["gen_ai.operation.name"]


@mutant("test_seam_version_is_known")
class ComesFromThePast(KestrelPlugin):
    """Was written for a seam that never was."""

    info = evolve(KestrelPlugin.info, api_version=0)
