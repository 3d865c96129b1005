"""The README matches the plugin."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from attrs import fields
from kickai_providers_core import Resolver

from kickai_ollama.settings import OllamaSettings

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", README, re.DOTALL))
def test_the_settings_can_be_used(block):
    """Every example of settings is valid."""
    with Resolver.from_settings(tomllib.loads(block), env={}) as resolver:
        assert resolver.settings.providers["ollama"].model == "qwen2.5:0.5b"


def test_every_setting_is_listed():
    """The table has every setting and no other row."""
    table = README.partition("## Settings")[2].partition("\n\nA chain")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named == {field.name for field in fields(OllamaSettings)}


def test_linked_files_exist():
    """The files that the README links to exist."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target


def test_the_example_runs(server, capsys):
    """The example of pulling prints the steps of a pull."""
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(block.replace("pull=True", f"pull=True, host={server.url!r}").replace("qwen2.5:0.5b", "phi4"), {})  # noqa: S102
    assert capsys.readouterr().out.splitlines()[-1] == "success 400 400"
