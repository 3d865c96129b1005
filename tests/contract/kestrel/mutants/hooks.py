"""Mutants with wrong hooks."""

from __future__ import annotations

from attrs import evolve, fields_dict

from kestrel import eager, eager_class, meddling
from kestrel.mutants.registry import mutant
from kestrel.plugin import KestrelPlugin
from kickai_providers_core.plugin_api.hookspecs import hookimpl
from kickai_providers_core.values.errors import Problem

mutant("test_discovery_imports_no_vendor")(eager.EagerPlugin, eager.plugin)
mutant("test_discovery_imports_no_vendor")(eager_class.EagerClass, eager_class.plugin)
mutant("test_discovery_is_quiet")(meddling.MeddlingPlugin, meddling.plugin)


@mutant("test_a_missing_key_is_a_problem")
class AcceptsMissingKey(KestrelPlugin):
    """Reports no problem when the key is missing."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Report nothing."""
        return self.find_online_problems(settings) if online and settings.key else []


@mutant("test_validating_online_ends_in_problems")
class RaisesInOnlineValidation(KestrelPlugin):
    """Raises an error in online validation."""

    def find_online_problems(self, settings):
        """Raise the service's error."""
        from kickai_providers_core.values.requests import ChatRequest

        self.client(settings).invoke(ChatRequest.of("ping"), settings.timeout_s)
        return []


@mutant("test_preparing_yields_progress")
class YieldsTextAsProgress(KestrelPlugin):
    """Yields text in place of Progress."""

    @hookimpl
    def kickai_prepare_provider(self, settings, model):
        """Yield text."""
        yield f"{model}: 100 %"


@mutant("test_validating_offline_uses_no_network", "test_validating_offline_ends_in_time")
class CallsServiceInOfflineValidation(KestrelPlugin):
    """Calls the service in offline validation."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Call the service."""
        problems = super().kickai_validate_provider(settings, online)
        return problems or self.find_online_problems(settings)


@mutant("test_environment_fills_fields")
class SetsUnknownField(KestrelPlugin):
    """Reads an environment variable into a field that does not exist."""

    info = evolve(KestrelPlugin.info, environment={"KESTREL_API_KEY": "key", "KESTREL_REGION": "region"})


@mutant("test_every_event_is_accepted", "test_events_are_not_changed")
class FailsOnUnknownEvents(KestrelPlugin):
    """Raises KeyError for an unknown event."""

    @hookimpl
    def kickai_observe(self, event):
        """Look up an attribute."""
        event.attributes()["gen_ai.operation.name"]


@mutant("test_events_are_not_changed")
class ChangesEvents(KestrelPlugin):
    """Writes the provider's name in capitals into the events that it observes."""

    @hookimpl
    def kickai_observe(self, event):
        """Write the name in capitals."""
        if "provider" in fields_dict(type(event)):
            object.__setattr__(event, "provider", event.provider.upper())


@mutant("test_api_version_is_known")
class HasUnknownApiVersion(KestrelPlugin):
    """Was written for a plugin API that never existed."""

    info = evolve(KestrelPlugin.info, api_version=0)


@mutant("test_defaults_are_validated", "test_a_missing_key_is_a_problem")
class FailsToValidateWithoutKey(KestrelPlugin):
    """Raises AttributeError when the key is missing."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Reveal the key."""
        settings.key.reveal()
        return super().kickai_validate_provider(settings, online)


@mutant("test_good_settings_have_no_problems")
class RejectsGoodSettings(KestrelPlugin):
    """Reports an error for good settings."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Report an error."""
        return [*super().kickai_validate_provider(settings, online), Problem(path="url", message="it is short")]


@mutant("test_the_key_is_in_no_problem")
class ShowsKeyInProblem(KestrelPlugin):
    """Shows the key in a warning."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Report a warning with the key."""
        found = super().kickai_validate_provider(settings, online)
        message = f"the key {settings.key and settings.key.reveal()} is short"
        return [*found, Problem(path="key", message=message, severity="warning")]


@mutant("test_info_is_the_same_each_time")
class ChangesItsInfo(KestrelPlugin):
    """Describes itself differently each time."""

    @hookimpl
    def kickai_provider_info(self):
        """Count the descriptions."""
        self.attempts += 1
        return evolve(self.info, summary=f"Described {self.attempts} times")


@mutant("test_ranking_gives_targets")
class RanksNames(KestrelPlugin):
    """Returns the names of targets in place of the targets."""

    @hookimpl
    def kickai_rank_targets(self, request, targets):
        """Return names."""
        return [str(target) for target in targets]


@mutant("test_capabilities_of_an_instance_are_known")
class HasUnknownCapability(KestrelPlugin):
    """Has a capability that the plugin API does not know."""

    @hookimpl
    def kickai_provider_capabilities(self, settings, model):
        """Return an unknown capability."""
        return {"telepathy"}
