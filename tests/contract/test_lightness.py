"""Applications that only use providers do not import the kit."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from kickai_providers_core import testing

KIT = Path(testing.__file__).parent


def modules_after(statement):
    """Return the names of the modules that a fresh interpreter has after a statement."""
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_core_imports_no_kit():
    """Neither the kit nor what it depends on is imported by the core, all of its public names included."""
    loaded = modules_after("import kickai_providers_core\nfrom kickai_providers_core import *")
    assert not [name for name in loaded if name.startswith(("kickai_providers_core.testing", "pytest", "hypothesis"))]


def test_the_fault_server_needs_neither_pytest_nor_hypothesis():
    """The fault server imports neither pytest nor hypothesis, so that other test frameworks can use it."""
    assert not {"pytest", "hypothesis", "_pytest"} & modules_after("import kickai_providers_core.testing.faults")


def test_the_kit_depends_on_pytest_and_hypothesis_only():
    """No module of the kit imports anything but the core, its dependencies, pytest and hypothesis."""
    allowed = {*sys.stdlib_module_names, "kickai_providers_core", "attrs", "pluggy", "loguru", "pytest", "hypothesis"}
    for path in KIT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= allowed, path.name


def test_an_unknown_name_is_an_attribute_error():
    """The lazy package raises AttributeError for unknown names."""
    assert not hasattr(testing, "ProviderContrakt")
    assert testing.ProviderContract.__name__ == "ProviderContract"
