"""The plugin's description, and whether its hooks match the plugin API."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import attrs
import pytest

from kickai_providers_core.plugin_api.discovery import discover
from kickai_providers_core.plugin_api.hookspecs import API_VERSION, ModelInfo, ProviderInfo
from kickai_providers_core.plugin_api.inspection import PLUGIN_NAME
from kickai_providers_core.plugin_api.settings import ProviderSettings
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.values.requests import Capability

if TYPE_CHECKING:
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["PluginInfoTests"]

VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
SECRET_VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")


class PluginInfoTests(ProviderSpec):
    """The plugin describes itself, and discovery accepts it."""

    def test_discovery_accepts_the_plugin(self) -> None:
        """The hooks have known names and arguments, and none of the required ones is missing."""
        (found,) = discover((), given={"under-test": self.plugin}).plugins
        assert found.error is None, str(found.error)
        assert found.info is not None, "the plugin is not a provider: implement kickai_provider_info"

    def test_info_is_the_same_each_time(self, harness: ProviderHarness) -> None:
        """The description is constant."""
        first, second = harness.hook.kickai_provider_info(), harness.hook.kickai_provider_info()
        assert first == second, "kickai_provider_info must return the same value each time"

    def test_names_are_valid(self, harness: ProviderHarness) -> None:
        """The name and the aliases are distinct, and consist of lower-case letters, digits and dashes."""
        names = (harness.info.name, *harness.info.aliases)
        wrong = [name for name in names if not PLUGIN_NAME.fullmatch(name)]
        assert not wrong, f"invalid names: {wrong}; use lower-case letters, digits and dashes"
        assert len(set(names)) == len(names), f"the name and the aliases must differ from each other, got {names}"

    def test_summary_is_one_line(self, harness: ProviderHarness) -> None:
        """The summary is one line, and not empty."""
        summary = harness.info.summary
        assert summary.strip(), "ProviderInfo.summary must not be empty"
        assert len(summary.splitlines()) == 1, f"ProviderInfo.summary must be one line, got {summary!r}"

    def test_api_version_is_known(self, harness: ProviderHarness) -> None:
        """This core supports the plugin's version of the plugin API."""
        version = harness.info.api_version
        assert 1 <= version <= API_VERSION, f"ProviderInfo.api_version must be from 1 to {API_VERSION}, got {version}"

    def test_capabilities_have_the_right_types(self, harness: ProviderHarness) -> None:
        """Capabilities and models are described with the types of the plugin API."""
        info: ProviderInfo = harness.info
        assert all(isinstance(each, Capability) for each in info.capabilities), (
            f"ProviderInfo.capabilities must contain Capability values, got {info.capabilities}"
        )
        assert all(isinstance(each, ModelInfo) for each in info.models.values()), (
            f"ProviderInfo.models must contain ModelInfo values, got {info.models}"
        )

    def test_capabilities_of_an_instance_are_known(self, harness: ProviderHarness) -> None:
        """The capabilities of an instance are known without the service; None stands for all of the plugin's."""
        hook = harness.hook.kickai_provider_capabilities
        for model in (None, self.model):
            found = hook(settings=harness.settings, model=model)
            assert found is None or {type(each) for each in found} <= {Capability}, (
                f"kickai_provider_capabilities must return Capability values or None, got {found!r} for model {model}"
            )
        assert self.wire is None or not harness.server.requests, (
            "kickai_provider_capabilities called the service: it must work offline"
        )

    def test_settings_class_extends_provider_settings(self, harness: ProviderHarness) -> None:
        """The settings class is a frozen attrs class that extends `ProviderSettings`."""
        kind = harness.info.settings_class
        assert inspect.isclass(kind), f"ProviderInfo.settings_class must be a class, got {kind!r}"
        assert issubclass(kind, ProviderSettings), f"{kind.__name__} must be a subclass of ProviderSettings"
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            kind().timeout_s = 1.0  # type: ignore[misc]

    def test_settings_have_defaults(self, harness: ProviderHarness) -> None:
        """Every setting has a default."""
        kind = harness.info.settings_class
        assert isinstance(kind(), ProviderSettings), f"{kind.__name__}() must return settings"

    def test_settings_are_an_instance_of_the_settings_class(self, harness: ProviderHarness) -> None:
        """The settings under test are an instance of the plugin's settings class."""
        kind = harness.info.settings_class
        assert isinstance(harness.settings, kind), (
            f"settings() must return {kind.__name__}, got {type(harness.settings).__name__}"
        )

    def test_environment_fills_fields(self, harness: ProviderHarness) -> None:
        """Every environment variable sets a field that the settings have."""
        fields = attrs.fields_dict(harness.info.settings_class)
        for variable, field in harness.hook.kickai_provider_info().environment.items():
            assert VARIABLE.fullmatch(variable), (
                f"invalid name of an environment variable: {variable!r}; use capital letters, digits and underscores"
            )
            assert field in fields, (
                f"{variable} sets the field {field!r}, which {harness.info.settings_class.__name__} does not have"
            )

    def test_keys_are_secrets(self, harness: ProviderHarness) -> None:
        """A field that is read from a variable with a key or a token has the type `Secret`."""
        fields = attrs.fields_dict(harness.info.settings_class)
        for variable, field in harness.info.environment.items():
            if SECRET_VARIABLE.search(variable):
                kind = fields[field].type
                assert "Secret" in str(kind), f"{field!r} is read from {variable}: its type must be Secret, got {kind}"
