"""The README agrees with the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from attrs import fields
from kickai_providers_core import Resolver

from kickai_hf.capabilities import DEFAULT_MODEL
from kickai_hf.plugin import plugin
from kickai_hf.settings import HuggingFaceSettings

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_in_the_table():
    """Each setting has a row, and each name in the first column is a setting."""
    rows = re.findall(r"^\| (`.*?) \| ", README, re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(rows))
    assert sorted(named) == sorted(field.name for field in fields(HuggingFaceSettings))


def test_the_defaults_in_the_table_are_correct():
    """The defaults in the table are those of the class."""
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)`", README, re.MULTILINE))
    defaults = HuggingFaceSettings()
    assert rows.pop("model") == DEFAULT_MODEL
    assert {name: str(getattr(defaults, name)).lower() for name in rows} == rows
    assert len(rows) >= 4


def test_the_example_works():
    """Its settings have no problems, and each instance can be created."""
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    env = {"HUGGINGFACE_API_TOKEN": "hf_abc", "CLUB_SERVER_TOKEN": "abc"}
    with Resolver.from_settings(tomllib.loads(example), env=env) as resolver:
        assert [p for p in resolver.settings.warnings if p.path.startswith("providers.")] == []
        for name in ("huggingface", "club-server", "old-tgi"):
            assert (
                list(plugin.kickai_validate_provider(settings=resolver.registry.find(name).settings, online=False))
                == []
            )
            plugin.kickai_create_provider(settings=resolver.registry.find(name).settings).close()
