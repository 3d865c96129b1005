"""What one instance can do, which may be less than its plugin can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.plugin_api.extension_warnings import warn
from kickai_providers_core.values.problems import Problem

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.adapter import Adapter
    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.requests import Capability

__all__ = ["InstanceCapabilities"]

MAX_MODELS = 1000
"""The number of models whose capabilities are remembered: a request may name any model."""


class InstanceCapabilities:
    """Determines the capabilities of an instance, once for each model. Safe to use from any thread."""

    def __init__(self, name: str, info: ProviderInfo, settings: ProviderSettings, adapter: Adapter) -> None:
        self._name = name
        self._info = info
        self._settings = settings
        self._adapter = adapter
        self._known: dict[str | None, frozenset[Capability]] = {}
        self._faults: dict[str, None] = {}

    def get(self, model: str | None) -> frozenset[Capability]:
        """Return what the instance can do with a model; None means its own."""
        if model in self._known:
            return self._known[model]
        found, fault = self._adapter.find_capabilities(self._settings, model)
        if fault and fault not in self._faults:
            self._faults[fault] = None
            warn(f"{self._name}: {fault}; the plugin's own capabilities apply")
        if found is None:
            info = self._info.models.get(model or self._settings.model or "")
            found = self._info.capabilities if info is None or info.capabilities is None else info.capabilities
        if len(self._known) < MAX_MODELS:
            self._known[model] = found
        return found

    def find_problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with the plugin's statements about the instance's own model."""
        self.get(self._settings.model)
        return tuple(Problem(path="", message=fault, severity="warning") for fault in self._faults)
