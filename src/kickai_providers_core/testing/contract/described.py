"""What a plugin says of itself, and that its hooks fit the seam."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import attrs
import pytest

from kickai_providers_core.plugin_api.discovery import discover
from kickai_providers_core.plugin_api.hookspecs import SEAM_VERSION, ModelInfo, ProviderInfo
from kickai_providers_core.plugin_api.settings import ProviderSettings
from kickai_providers_core.testing.contract.supplied import Supplied
from kickai_providers_core.values.requests import Capability

if TYPE_CHECKING:
    from kickai_providers_core.testing.contract.subject import Subject

__all__ = ["Described"]

NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
SECRETIVE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")


class Described(Supplied):
    """The plugin describes itself, and discovery takes it."""

    def test_discovery_takes_the_plugin(self) -> None:
        """Its hooks have names and arguments that the seam knows, and the required ones are there."""
        (found,) = discover((), given={"under-test": self.plugin}).plugins
        assert found.error is None, str(found.error)
        assert found.info is not None, "the plugin lacks kickai_provider_info"

    def test_info_is_the_same_each_time(self, subject: Subject) -> None:
        """The description is a constant: nothing in it depends on when it is asked for."""
        assert subject.hook.kickai_provider_info() == subject.hook.kickai_provider_info()

    def test_names_can_stand_in_settings(self, subject: Subject) -> None:
        """Name and aliases are lower-case letters, digits and dashes, each given once."""
        names = (subject.info.name, *subject.info.aliases)
        wrong = [name for name in names if not NAME.fullmatch(name)]
        assert not wrong, f"not a name for settings: {wrong}"
        assert len(set(names)) == len(names), f"given twice: {names}"

    def test_summary_is_one_line(self, subject: Subject) -> None:
        """The summary is one line that says something."""
        summary = subject.info.summary
        assert summary.strip(), "the summary is empty"
        assert len(summary.splitlines()) == 1, "the summary has several lines"

    def test_seam_version_is_known(self, subject: Subject) -> None:
        """The plugin was written for a version of the seam that this core speaks."""
        assert 1 <= subject.info.api_version <= SEAM_VERSION

    def test_capabilities_are_of_the_seam(self, subject: Subject) -> None:
        """Capabilities and models are described with the seam's own types."""
        info: ProviderInfo = subject.info
        assert all(isinstance(capability, Capability) for capability in info.capabilities)
        assert all(isinstance(model, ModelInfo) for model in info.models.values())

    def test_capabilities_of_an_instance_are_known(self, subject: Subject) -> None:
        """What an instance can do is known offline: capabilities of the plugin API, or None for all of its plugin's."""
        hook = subject.hook.kickai_provider_capabilities
        for model in (None, self.model):
            found = hook(settings=subject.settings, model=model)
            assert found is None or {type(each) for each in found} <= {Capability}, f"for model {model}: {found!r}"
        assert self.wire is None or not subject.server.requests, "the service was called"

    def test_settings_class_extends_the_seams(self, subject: Subject) -> None:
        """The settings class is a frozen attrs class that extends `ProviderSettings`."""
        kind = subject.info.settings_class
        assert inspect.isclass(kind), f"{kind} is no class"
        assert issubclass(kind, ProviderSettings), f"{kind.__name__} does not extend ProviderSettings"
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            kind().timeout_s = 1.0  # type: ignore[misc]

    def test_settings_have_defaults(self, subject: Subject) -> None:
        """An instance that is configured nowhere still has settings, whatever is missing in them."""
        assert isinstance(subject.info.settings_class(), ProviderSettings)

    def test_settings_are_of_the_settings_class(self, subject: Subject) -> None:
        """The settings under test are an instance of the class that the plugin names."""
        assert isinstance(subject.settings, subject.info.settings_class)

    def test_environment_fills_fields(self, subject: Subject) -> None:
        """Every environment variable fills a field that the settings have."""
        fields = attrs.fields_dict(subject.info.settings_class)
        for variable, field in subject.hook.kickai_provider_info().environment.items():
            assert VARIABLE.fullmatch(variable), f"{variable} is no name of an environment variable"
            assert field in fields, f"{variable} fills {field!r}, which {subject.info.settings_class.__name__} lacks"

    def test_keys_are_secrets(self, subject: Subject) -> None:
        """A field that a key or a token is read into has the type `Secret`."""
        fields = attrs.fields_dict(subject.info.settings_class)
        for variable, field in subject.info.environment.items():
            if SECRETIVE.search(variable):
                assert "Secret" in str(fields[field].type), f"{variable} is read into {field!r}, which is no Secret"
