"""The example of the README runs, and its table of arguments is complete."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from kickai_providers_core import Resolver
from langchain_core.language_models import BaseChatModel

from kickai_langchain import ChatKickai

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def find_block(language: str) -> str:
    """Return the only code block of a language."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return block


def run_example(folder: Path, monkeypatch, mock: str) -> None:
    """Run the example with a mock in place of the two vendors."""
    (folder / "kickai.toml").write_text(f'[kickai]\nprimary = "mock"\nfallback = []\n[providers.mock]\n{mock}')
    monkeypatch.chdir(folder)
    exec(find_block("python"), {})  # noqa: S102  it is our own README


def test_the_example_prints_the_answer(tmp_path, monkeypatch, capsys):
    """After a call of its tool."""
    run_example(tmp_path, monkeypatch, 'script = ["tool_call"]\n')
    assert capsys.readouterr().out == "Who can play on Saturday?\nfell back: False\n"


def test_the_example_prints_the_failure(tmp_path, monkeypatch, capsys):
    """It is one line."""
    run_example(tmp_path, monkeypatch, 'drill = "authentication"\n')
    assert capsys.readouterr().out.startswith("no target could answer: mock:")


def test_the_settings_are_valid(tmp_path):
    """Both vendors are installed with the plugin's environment."""
    (tmp_path / "kickai.toml").write_text(find_block("toml"))
    with Resolver.from_settings(tmp_path / "kickai.toml", env={}) as resolver:
        targets = resolver.for_role("team_manager").targets
    assert {target.partition(":")[0] for target in targets} == {"huggingface", "gemini"}


def test_the_table_of_arguments_is_complete():
    """Every parameter and every field of our own has its row."""
    section = README.partition("## Arguments")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    parameters = set(inspect.signature(ChatKickai.__init__).parameters) - {"self", "fields"}
    assert named == parameters | (set(ChatKickai.model_fields) - set(BaseChatModel.model_fields))
