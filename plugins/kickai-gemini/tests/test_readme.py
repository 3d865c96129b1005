"""The README matches the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import attrs
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.sources import read

from kickai_gemini.plugin import plugin
from kickai_gemini.settings import GeminiSettings

FOLDER = Path(__file__).parents[1]
README = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_example_is_valid():
    """The settings of the example are valid."""
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    table = tomllib.loads(example)["providers"]["gemini"]
    settings = structure(read({"providers": {"gemini": table}}, {}), {"gemini": plugin.kickai_provider_info()})
    assert settings.providers["gemini"] == GeminiSettings(**table)


def test_every_setting_is_described():
    """The table of settings has every field, with the defaults of the class."""
    described = README.split("## Settings")[1].split("**The key.**")[0]
    for field in (each for each in attrs.fields(GeminiSettings) if not each.inherited):
        assert f"`{field.name}`" in described, field.name
    assert f"| `model` | `{GeminiSettings().model}` |" in described
    assert f"| `base_url` | `{GeminiSettings().base_url}` |" in described


def test_every_link_has_a_target():
    """Links within the distribution lead to existing files."""
    for text in (README, (FOLDER / "docs" / "wire.md").read_text(encoding="utf-8")):
        for target in re.findall(r"\]\((?!https:)([^)]+)\)", text):
            assert (FOLDER / target).is_file(), target
