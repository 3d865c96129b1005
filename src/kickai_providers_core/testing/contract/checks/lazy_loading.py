"""An installed plugin costs nothing until it is used, and uses no network before the first call."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.helpers import interpreter_state
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.contract.helpers.vendor import find_required_modules, get_module_name

if TYPE_CHECKING:
    from types import ModuleType

    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["LazyLoadingTests"]

DISCOVER = """
import importlib.util, json, os, runpy, sys, threading
name, file, path, attribute, state = json.loads(sys.argv[1])
read_process_state = runpy.run_path(state)["read_process_state"]
sys.path[:] = path
import kickai_providers_core, kickai_providers_core.authoring
import kickai_providers_core.plugin_api.discovery, kickai_providers_core.plugin_api.adapter
before = set(sys.modules)
process, encode, written = read_process_state(), os.environ.encodevalue, []
os.environ.encodevalue = lambda value: written.append(value) or encode(value)
try:
    module = importlib.import_module(name)
except ModuleNotFoundError as error:
    if error.name != name.split(".")[0] and error.name != name: raise
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
plugin = getattr(module, attribute) if attribute else module
found = kickai_providers_core.plugin_api.discovery.discover((), given={"under-test": plugin}).plugins[0]
if found.error: raise found.error
changed = [what for what, now in read_process_state().items() if now != process[what]]
changed += ["the environment"] if written and "the environment" not in changed else []
report = {"changed": changed, "modules": sorted(set(sys.modules) - before), "threads": threading.active_count()}
sys.__stderr__.write("\\n" + json.dumps(report))
"""


class LazyLoadingTests(ProviderSpec):
    """Importing and describing the plugin uses neither the vendor's client nor the network."""

    @classmethod
    @cache
    def _discover(cls) -> dict[str, Any]:
        return _discover_in_new_process(cls.plugin, cls.__module__)

    def test_discovery_imports_no_vendor(self) -> None:
        """The vendor's client, and whatever the distribution requires besides the core, is imported on first use."""
        vendor = {*self.vendor, *find_required_modules(self.plugin)}
        if not vendor:
            pytest.skip("not applicable: the plugin's distribution requires the core only, and vendor is empty")
        modules = self._discover()["modules"]
        early = sorted(name for name in vendor if name in modules)
        assert not early, f"modules imported at discovery: {', '.join(early)}; import them inside the hooks"

    def test_discovery_is_quiet(self) -> None:
        """Discovery prints nothing, warns of nothing, starts no thread and changes nothing that the process shares."""
        report = self._discover()
        assert report["printed"] == "", f"importing the plugin printed {report['printed']!r}"
        assert not report["changed"], f"importing the plugin changed {', '.join(report['changed'])} of the process"
        assert report["threads"] == 1, f"importing the plugin started threads: {report['threads'] - 1}"

    def test_vendor_can_be_imported(self) -> None:
        """The modules in ``vendor`` exist; otherwise the test of lazy imports would prove nothing."""
        for name in self.vendor:
            import_module(name)

    def test_creating_uses_no_network(self, harness: ProviderHarness) -> None:
        """Creating a provider does not connect to its service."""
        assert harness.provider is not None, "kickai_create_provider returned None, expected a provider object"
        _check_no_connection(harness, "kickai_create_provider")

    def test_validating_offline_uses_no_network(self, harness: ProviderHarness) -> None:
        """Offline validation does not connect to the service."""
        list(harness.hook.kickai_validate_provider(settings=harness.settings, online=False) or ())
        _check_no_connection(harness, "kickai_validate_provider with online=False")

    def test_creating_starts_no_thread(self, harness: ProviderHarness) -> None:
        """A provider that was created and not used has no thread."""
        before = set(threading.enumerate())
        harness.create(harness.settings)
        started = [thread.name for thread in set(threading.enumerate()) - before]
        assert not started, f"kickai_create_provider started threads: {', '.join(started)}"


def _check_no_connection(harness: ProviderHarness, hook: str) -> None:
    count = harness.server.accepted_connections
    assert count == 0, f"{hook} made {count} connections to the service, expected none"


def _discover_in_new_process(plugin: object, test_module: str) -> dict[str, Any]:
    """Import and describe a plugin in a new interpreter; return its modules, threads and output."""
    attribute = ""
    module: ModuleType = sys.modules[get_module_name(plugin)]
    if module is not plugin:
        if module.__name__ == test_module:
            pytest.skip("not applicable: the plugin is in the module of its tests, which imports more than the plugin")
        attribute = next((name for name, value in vars(module).items() if value is plugin), "")
        if not attribute:
            pytest.skip(f"not applicable: no name in the module {module.__name__} refers to the plugin")
    where = json.dumps([module.__name__, module.__file__, sys.path, attribute, interpreter_state.__file__])
    done = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", DISCOVER, where], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"discovery failed in a new process:\n{done.stderr}"
    printed, _, report = done.stderr.rpartition("\n")
    return {**json.loads(report), "printed": done.stdout + printed.strip("\n")}
