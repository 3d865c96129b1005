"""The module paths of the first releases."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from kickai_providers_core._moved import MOVED


@pytest.mark.parametrize("name", MOVED)
def test_an_old_module_has_the_names_of_the_new_ones(name: str) -> None:
    """It warns once, when it is first imported, and names the new module."""
    program = (
        f"from kickai_providers_core.{name} import *; import kickai_providers_core.{name} as old; print(*vars(old))"
    )
    done = subprocess.run([sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.count(f"kickai_providers_core.{name} has moved: import from kickai_providers_core.") == 1
    for home in MOVED[name]:
        module = importlib.import_module(f"kickai_providers_core.{home}")
        assert set(module.__all__) <= set(done.stdout.split())


def test_no_old_name_hides_a_module() -> None:
    """The finder comes last, so a module of the same name would win; there is none."""
    program = "import kickai_providers_core as k, pkgutil; print(*[m.name for m in pkgutil.iter_modules(k.__path__)])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & set(MOVED)


def test_an_unknown_module_is_not_found() -> None:
    """Only the names of the first releases are redirected."""
    with pytest.raises(ModuleNotFoundError, match=r"kickai_providers_core\.nonsense"):
        importlib.import_module("kickai_providers_core.nonsense")
