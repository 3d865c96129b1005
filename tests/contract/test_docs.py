"""The pages on the plugin API and on providers match the code."""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import re
import runpy
import sys
from pathlib import Path

import pytest

from kickai_providers_core import Resolver
from kickai_providers_core.plugin_api import hookspecs
from kickai_providers_core.testing.contract import standard_tests
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import FaultServer, Ok, Status

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "writing-a-provider.md").read_text(encoding="utf-8")
GENERATE = runpy.run_path(str(DOCS / "generate.py"))
HOOKS = GENERATE["list_hooks"]()


def block(title):
    """Return the guide's code block with this title."""
    return re.search(rf'^```\w+ title="{re.escape(title)}"\n(.*?)^```$', GUIDE, re.DOTALL | re.MULTILINE)[1]


@pytest.mark.parametrize("page", GENERATE["PAGES"])
def test_generated_parts_are_up_to_date(page):
    """The generated parts are up to date; ``python docs/generate.py`` writes them."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert "<!-- generated: " in text
    assert GENERATE["fill_in"](text) == text


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented(hook):
    """Each hook has a section, and its docstring describes when it is called and each parameter."""
    assert f"### `{hook}`" in (DOCS / "plugin-api.md").read_text(encoding="utf-8")
    text = inspect.getdoc(getattr(hookspecs, hook))
    assert "Called" in text
    for parameter in inspect.signature(getattr(hookspecs, hook)).parameters:
        assert f":param {parameter}:" in text
    assert ":return:" in text or inspect.signature(getattr(hookspecs, hook)).return_annotation == "None"


def test_every_hook_is_in_the_overview():
    """The overview of the order of calls contains all hooks."""
    overview = (DOCS / "plugin-api.md").read_text(encoding="utf-8").partition("## What a plugin")[0]
    assert [hook for hook in HOOKS if hook not in overview] == []


def test_the_attributes_of_a_subclass_are_documented():
    """The guide describes each attribute that an author may set."""
    public = [name for name in vars(ProviderSpec) if not name.startswith("_")]
    assert [name for name in [*public, "plugin"] if f"`{name}" not in GUIDE] == []


def test_the_guides_table_names_tests_that_exist():
    """Each test or group of tests in the guide's table of failures is a standard test."""
    table = GUIDE.partition("a failure usually means |")[2].partition("\n\n")[0]
    patterns = [name.replace("…", "*") for name in re.findall(r"`(test_\S+?)`", table)]
    assert len(patterns) > 30
    assert [pattern for pattern in patterns if not fnmatch.filter(standard_tests(), pattern)] == []


def test_the_guides_provider_is_short():
    """The guide's provider is one file with at most sixty lines, including blank ones."""
    assert len(block("kickai_osprey.py").splitlines()) <= 60


def test_the_guides_provider_answers_through_a_chain(tmp_path, monkeypatch):
    """The guide's provider, with the guide's wire, works in a chain."""
    for name in ("kickai_osprey.py", "test_osprey.py"):
        (tmp_path / name).write_text(block(name))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "kickai_osprey", raising=False)
    osprey, wire = importlib.import_module("kickai_osprey"), importlib.import_module("test_osprey").OspreyWire()
    with FaultServer(wire) as server:
        settings = {"providers": {"osprey": {"host": server.url.removeprefix("http://"), "retries": 1}}}
        server.script(Status(503, "unavailable"), Ok("Everybody can."))
        with Resolver.from_settings(settings, env={"OSPREY_KEY": "k"}, plugins={"osprey": osprey}) as resolver:
            reply = resolver.chain("osprey:osprey-1").invoke("Who can play on Saturday?")
    assert (reply.text, reply.provider, len(reply.attempts)) == ("Everybody can.", "osprey", 2)
    for name in ("kickai_osprey", "test_osprey"):
        monkeypatch.delitem(sys.modules, name)
