"""The README agrees with the code; ``python tests/test_readme.py`` writes the table of presets."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from attrs import fields
from kickai_providers_core import Resolver

from kickai_openai.plugin import plugin
from kickai_openai.presets import PRESETS
from kickai_openai.request_options import OPTIONS
from kickai_openai.settings import OpenAISettings

FILE = Path(__file__).parents[1] / "README.md"
README = FILE.read_text(encoding="utf-8")
TABLE = re.compile(r"(?<=<!-- generated: presets -->\n).*?(?=<!-- end -->)", re.DOTALL)


def render_presets():
    """Return the table of presets, in Markdown."""
    lines = ["| preset | service and address | key | to know | read on | called |", "|---|---|---|---|---|---|"]
    for name, row in PRESETS.items():
        key = f"`{row.key_variable}`" if row.key_variable else "–"
        source = f"[{row.checked}]({row.sources[0]})" if "://" in row.sources[0] else str(row.checked)
        service = f"{row.title}, `{row.base_url}`"
        lines.append(f"| `{name}` | {service} | {key} | {row.notes} | {source} | {'yes' if row.called else 'no'} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_presets_is_up_to_date():
    """It is what this file writes."""
    assert TABLE.search(README)[0] == render_presets()


def test_every_setting_is_in_the_table():
    """Each setting has a row, and each name in the first column is a setting."""
    settings = README.partition("## Settings")[2].partition("## What is checked")[0]
    rows = re.findall(r"^\| (`.*?) \| ", settings, re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(rows))
    assert sorted(named) == sorted(field.name for field in fields(OpenAISettings))


def test_the_defaults_in_the_table_are_correct():
    """The defaults in the table are those of the class."""
    assert f"| `model` | `{OpenAISettings().model}` for OpenAI" in README
    assert OpenAISettings().allow_plain_http is False
    own = {field.name: field.default for field in fields(OpenAISettings)}
    times = ("timeout_s", "connect_timeout_s", "first_token_timeout_s", "idle_timeout_s", "retries")
    assert [own[name] for name in times] == [10, 5, 10, 10, 2]


def test_the_example_works():
    """Its settings have no problems, and each instance can be created."""
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    env = {"GROQ_API_KEY": "a-key", "MISTRAL_API_KEY": "a-key", "CLUB_KEY": "a-key"}
    with Resolver.from_settings(tomllib.loads(example), env=env) as resolver:
        assert [p for p in resolver.settings.warnings if p.path.startswith("providers.")] == []
        for name in ("groq", "mistral", "gpu", "club"):
            settings = resolver.registry.find(name).settings
            assert list(plugin.kickai_validate_provider(settings=settings, online=False)) == []
            plugin.kickai_create_provider(settings=settings).close()


def test_the_options_are_those_of_the_page():
    """The page on calls lists the options of each provider."""
    page = (Path(__file__).parents[3] / "docs" / "calling.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| `openai` \| (.*) \|$", page, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(OPTIONS)


if __name__ == "__main__":
    FILE.write_text(TABLE.sub(lambda _: render_presets(), README), encoding="utf-8")
