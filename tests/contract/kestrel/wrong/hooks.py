"""Hooks that are wrong themselves."""

from __future__ import annotations

from attrs import evolve

from kestrel import eager
from kestrel.plugin import KestrelPlugin
from kestrel.wrong.register import mutant
from kickai_providers_core.plugin_api.hookspecs import hookimpl
from kickai_providers_core.values.errors import Problem

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
        from kickai_providers_core.values.requests import ChatRequest

        self.client(settings).ask(ChatRequest.of("ping"), settings.timeout_s)
        return []


@mutant("test_preparing_tells_how_far_it_is")
class PreparesInWords(KestrelPlugin):
    """Tells how far it is in words of its own."""

    @hookimpl
    def kickai_prepare_provider(self, settings, model):
        """Yield text."""
        yield f"{model}: 100 %"


@mutant("test_validating_offline_asks_no_network", "test_validating_offline_ends_in_time")
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


@mutant("test_every_event_is_taken", "test_events_are_left_as_they_are")
class KnowsEveryEvent(KestrelPlugin):
    """Lets a KeyError through for an event that it does not know."""

    @hookimpl
    def kickai_observe(self, event):
        """Look every attribute up."""
        event.attributes()["gen_ai.operation.name"]


@mutant("test_events_are_left_as_they_are")
class RenamesProviders(KestrelPlugin):
    """Writes a provider's name in capitals into the events that it sees."""

    @hookimpl
    def kickai_observe(self, event):
        """Shout."""
        if hasattr(event, "provider"):
            event.provider = event.provider.upper()


@mutant("test_seam_version_is_known")
class ComesFromThePast(KestrelPlugin):
    """Was written for a seam that never was."""

    info = evolve(KestrelPlugin.info, api_version=0)


@mutant("test_defaults_are_validated", "test_a_missing_key_is_a_problem")
class NeedsAKeyToValidate(KestrelPlugin):
    """Lets an AttributeError through when there is no key to look at."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Look at the key."""
        settings.key.reveal()
        return super().kickai_validate_provider(settings, online)


@mutant("test_good_settings_have_no_problems")
class FindsFault(KestrelPlugin):
    """Finds a problem where there is none."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Complain."""
        return [*super().kickai_validate_provider(settings, online), Problem(path="url", message="it is short")]


@mutant("test_the_key_is_in_no_problem")
class QuotesTheKey(KestrelPlugin):
    """Shows the key in a warning."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Warn."""
        found = super().kickai_validate_provider(settings, online)
        told = f"the key {settings.key and settings.key.reveal()} is short"
        return [*found, Problem(path="key", message=told, severity="warning")]


@mutant("test_info_is_the_same_each_time")
class ChangesItsMind(KestrelPlugin):
    """Describes itself in new words each time."""

    @hookimpl
    def kickai_provider_info(self):
        """Count."""
        self.attempts += 1
        return evolve(self.info, summary=f"Described {self.attempts} times")


@mutant("test_ranking_gives_targets")
class RanksNames(KestrelPlugin):
    """Ranks targets by names instead of returning them."""

    @hookimpl
    def kickai_rank_targets(self, request, targets):
        """Return text."""
        return [str(target) for target in targets]


@mutant("test_capabilities_of_an_instance_are_known")
class ClaimsMoreThanThereIs(KestrelPlugin):
    """Says that an instance can do what the plugin API has no word for."""

    @hookimpl
    def kickai_provider_capabilities(self, settings, model):
        """Claim telepathy."""
        return {"telepathy"}
