"""The examples of the README run, and its tables are complete."""

import re
import shlex
from pathlib import Path

import pytest
from attrs import fields
from kickai_providers_core import ProviderSettings, Resolver

from kickai_mock import KINDS, MockSettings

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language):
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_python_examples_run():
    """The code blocks work, one after the other."""
    namespace = {}
    for block in blocks("python"):
        exec(block, namespace)  # noqa: S102  it is our own README


COMMANDS = re.findall(r"^\$ (.*kickai ask.*)\n(.*)$", "\n".join(blocks("console")), re.MULTILINE)


@pytest.mark.parametrize(("command", "output"), COMMANDS)
def test_the_commands_answer_what_is_shown(command, output):
    """Each command, with its variables, prints the answer below it."""
    words = shlex.split(command)
    start = words.index("kickai")
    env = dict(word.split("=", 1) for word in words[:start])
    assert words[start : start + 3] == ["kickai", "ask", "--chain"]
    targets, prompt = words[start + 3].split(","), words[start + 4]

    with Resolver.from_settings({}, env=env) as resolver:
        reply = resolver.chain(*targets).invoke(prompt)

    assert (reply.text, reply.fell_back) == (output, True)


def test_the_settings_example_works(tmp_path):
    """The TOML is valid, and does what its comments say."""
    (toml,) = blocks("toml")
    path = tmp_path / "kickai.toml"
    path.write_text(toml)

    with Resolver.from_settings(path, env={}) as resolver:
        settings = resolver.registry.find("mock").settings
        reply = resolver.chain("mock:a", "mock:c").invoke("hi")

    assert settings.models["a"].repeat
    assert settings.models["b"].rates == {"unavailable": 0.2, "cut": 0.05}
    assert (reply.text, reply.model) == ("goal", "c")


def row(name):
    """Return the row of the table for a kind of fault."""
    kind = KINDS[name]
    form = f"`{name}`" if not kind.takes else f"`{name}:{kind.takes.upper()}`"
    form = form if kind.needs or not kind.takes else f"`{name}`, {form}"
    status = f", {kind.status_code}" if kind.status_code else ""
    raised = f"`{kind.error.__name__}`{status}" if kind.error else ""
    return f"| {form} | {kind.meaning} | {raised} |"


def test_the_table_of_faults_is_complete():
    """Every kind of fault has its row, in order, and every row has its kind."""
    section = README.partition("## Faults")[2].partition("\n## ")[0]
    table = re.findall(r"^\| `.*\|$", section, re.MULTILINE)

    assert table == [row(name) for name in KINDS]


def test_the_tables_of_settings_are_complete():
    """Every setting that the mock adds has its row, and every row has its setting."""
    section = README.partition("## Settings")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` ", section, re.MULTILINE)
    own = {field.name for field in fields(MockSettings)} - {field.name for field in fields(ProviderSettings)}

    assert set(named) == own
