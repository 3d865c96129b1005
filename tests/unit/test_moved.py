"""The module paths of the first releases."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

from kickai_providers_core._moved import MOVED

IMPORT = """
import json, sys, warnings
found = {}
for name in sys.argv[1:]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(f"from kickai_providers_core.{name} import *; import kickai_providers_core.{name} as old")
    found[name] = [list(vars(old)), [str(warning.message) for warning in caught]]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, tuple[list[str], list[str]]]:
    """Import all old modules in a new process; return the names of each, and the warnings."""
    command = [sys.executable, "-c", IMPORT, *MOVED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", MOVED)
def test_an_old_module_has_the_names_of_the_new_ones(
    imported: dict[str, tuple[list[str], list[str]]], name: str
) -> None:
    """It warns once, when it is first imported, and names the new module."""
    names, warnings = imported[name]
    message = f"kickai_providers_core.{name} has moved: import from kickai_providers_core."
    assert [each.startswith(message) for each in warnings].count(True) == 1
    for home in MOVED[name]:
        module = importlib.import_module(f"kickai_providers_core.{home}")
        assert set(module.__all__) <= set(names)


def test_no_old_name_hides_a_module() -> None:
    """The finder comes last, so a module of the same name would win; there is none."""
    program = "import kickai_providers_core as k, pkgutil; print(*[m.name for m in pkgutil.iter_modules(k.__path__)])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & set(MOVED)


def test_an_unknown_module_is_not_found() -> None:
    """Only the names of the first releases are redirected."""
    with pytest.raises(ModuleNotFoundError, match=r"kickai_providers_core\.nonsense"):
        importlib.import_module("kickai_providers_core.nonsense")
