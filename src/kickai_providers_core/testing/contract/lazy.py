"""That having a plugin installed costs nothing, and that nothing is asked of the network before the first call."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.supplied import Supplied

if TYPE_CHECKING:
    from types import ModuleType

    from kickai_providers_core.testing.contract.subject import Subject

__all__ = ["Lazy"]

DISCOVER = """
import importlib.util, json, sys, threading
name, file, path, attribute = json.loads(sys.argv[1])
sys.path[:] = path
import kickai_providers_core.plugin_api.discovery, kickai_providers_core.plugin_api.adapter
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
told = {"modules": sorted(sys.modules), "threads": threading.active_count()}
sys.__stderr__.write("\\n" + json.dumps(told))
"""


class Lazy(Supplied):
    """Importing and describing the plugin touches neither the vendor's client nor the network."""

    def test_discovery_imports_no_vendor(self) -> None:
        """The vendor's client is imported on first use, and not by everyone who has the plugin installed."""
        if not self.vendor:
            pytest.skip("not applicable: the provider names no module of a vendor")
        modules = _discovered(self.plugin)["modules"]
        early = [name for name in self.vendor if name in modules]
        assert not early, f"imported at discovery: {', '.join(early)}"

    def test_discovery_is_quiet(self) -> None:
        """Discovery prints nothing, warns of nothing and starts no thread."""
        told = _discovered(self.plugin)
        assert told["printed"] == "", "the plugin prints when it is imported"
        assert told["threads"] == 1, "the plugin starts a thread when it is imported"

    def test_vendor_can_be_imported(self) -> None:
        """The names given as the vendor's are modules that exist, so that the test of laziness means something."""
        for name in self.vendor:
            import_module(name)

    def test_creating_asks_no_network(self, subject: Subject) -> None:
        """A provider is created without a connection to its service."""
        server = subject.server
        assert subject.provider is not None, "kickai_create_provider returned None"
        assert server.accepted_connections == 0

    def test_validating_offline_asks_no_network(self, subject: Subject) -> None:
        """Offline validation connects to nothing."""
        server = subject.server
        list(subject.hook.kickai_validate_provider(settings=subject.settings, online=False) or ())
        assert server.accepted_connections == 0

    def test_creating_starts_no_thread(self, subject: Subject) -> None:
        """A provider that was created and not used has no thread of its own."""
        before = set(threading.enumerate())
        subject.create(subject.settings)
        assert not set(threading.enumerate()) - before


def _discovered(plugin: object) -> dict[str, Any]:
    """Import and describe a plugin in a fresh interpreter; return what that brought with it."""
    attribute = ""
    module: ModuleType = plugin if _is_module(plugin) else sys.modules[type(plugin).__module__]  # type: ignore[assignment]
    if module is not plugin:
        attribute = next((name for name, value in vars(module).items() if value is plugin), "")
        if not attribute:
            pytest.skip(f"not applicable: the plugin has no name in the module {module.__name__}")
    where = json.dumps([module.__name__, module.__file__, sys.path, attribute])
    done = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", DISCOVER, where], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed, _, told = done.stderr.rpartition("\n")
    return {**json.loads(told), "printed": done.stdout + printed.strip("\n")}


def _is_module(plugin: object) -> bool:
    """Say whether a plugin is a module rather than an object of one."""
    return isinstance(plugin, type(sys))
