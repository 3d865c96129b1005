"""The reference on the site has every public name, from the docstrings of the code."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from website.reference import write_reference

PUBLIC = ("", ".authoring", ".authoring.openai_chat", ".testing", ".testing.faults", ".stores.api", ".compat")


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the modules and classes whose docstrings are on the pages, one in each line."""
    folder = tmp_path_factory.mktemp("site")
    write_reference(folder)
    pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted((folder / "reference").glob("*.md")))
    return "\n".join(line.removeprefix("::: ") for line in pages.splitlines() if line.startswith("::: "))


@pytest.mark.parametrize("part", PUBLIC)
def test_every_public_name_is_on_a_page(documented: str, part: str) -> None:
    """Its module is, or the class itself."""
    places = documented.splitlines()
    module = import_module(f"kickai_providers_core{part}")
    missing = []
    for name in module.__all__:
        found = getattr(module, name)
        if not (inspect.isclass(found) or inspect.isfunction(found)):
            continue
        path = f"{found.__module__}.{found.__qualname__}"
        if not any(path == place or path.startswith(f"{place}.") for place in places):
            missing.append(path)
    assert missing == []
