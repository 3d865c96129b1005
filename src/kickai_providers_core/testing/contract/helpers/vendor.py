"""What the kit finds out by itself about a plugin's vendor: its modules and its environment variables."""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from kickai_providers_core.plugin_api.hookspecs import ENTRY_POINT_GROUP

__all__ = ["find_required_modules", "find_variables", "find_vendor_packages", "get_module_name"]

CORE = "kickai-providers-core"
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
READ = re.compile(r"""(?:environ|getenv)[^\n]{0,40}?["']([A-Z][A-Z0-9_]{3,})["']""")
CONSTANT = re.compile(r"""["']([A-Z][A-Z0-9]*_(?:API_KEY|TOKEN|SECRET|BASE_URL|API_BASE|ENDPOINT|HOST))["']""")
LIMIT_BYTES = 2**20


def get_module_name(plugin: object) -> str:
    """Return the name of the module of a plugin, which may be an object; `hooks_for` notes its caller's."""
    return plugin.__name__ if isinstance(plugin, type(sys)) else plugin.__module__


def find_required_modules(plugin: object) -> frozenset[str]:
    """Return the top-level modules of the distributions that the plugin's distribution requires, but not the core.

    Empty when the plugin does not belong to an installed distribution.
    """
    top = get_module_name(plugin).partition(".")[0]
    names = {
        entry.dist.name
        for entry in metadata.entry_points(group=ENTRY_POINT_GROUP)
        if entry.dist is not None and _belongs_to(plugin, top, entry)
    }
    required = {each for name in names for each in _list_requirements(name)} - {_normalize(CORE)}
    return frozenset(module for module, owners in _list_owners().items() if required & owners)


def find_vendor_packages(plugin: object, vendor: tuple[str, ...]) -> list[Path]:
    """Return the folders of the vendor's modules, which its author or its distribution names."""
    names = {name.partition(".")[0] for name in vendor} | find_required_modules(plugin)
    folders = []
    for name in sorted(names):
        found = find_spec(name)
        folders += [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    return folders


def find_variables(folders: list[Path]) -> frozenset[str]:
    """Return the names of environment variables that the Python sources in some folders read."""
    return frozenset(name for folder in folders for name in _read_variables(folder))


@cache
def _read_variables(folder: Path) -> frozenset[str]:
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        if path.stat().st_size < LIMIT_BYTES:
            text = path.read_text(encoding="utf-8", errors="replace")
            if "environ" in text or "getenv" in text:
                names.update(READ.findall(text), CONSTANT.findall(text))
    return frozenset(names)


def _belongs_to(plugin: object, top: str, entry: metadata.EntryPoint) -> bool:
    module, _, attribute = entry.value.partition(":")
    if module.partition(".")[0] == top:
        return True
    loaded = sys.modules.get(module.strip())
    return loaded is not None and getattr(loaded, attribute.strip() or "__name__", loaded) is plugin


def _list_requirements(name: str) -> set[str]:
    """Return the normalized names that a distribution requires without an extra."""
    found = set()
    for line in metadata.requires(name) or ():
        requirement, _, marker = line.partition(";")
        named = REQUIREMENT.match(requirement)
        if named and "extra" not in marker:
            found.add(_normalize(named[0]))
    return found


@cache
def _list_owners() -> dict[str, frozenset[str]]:
    """Return the normalized names of the distributions of each top-level module."""
    return {module: frozenset(map(_normalize, names)) for module, names in metadata.packages_distributions().items()}


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
