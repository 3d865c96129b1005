"""Every example of the README, run; and its table of faults, compared with the vocabulary."""

import re
import shlex
from pathlib import Path

import pytest
from kickai_providers_core import Resolver

from kickai_mock import KINDS

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language):
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_python_examples_run():
    """What a reader copies into a test works, one block after the other."""
    namespace = {}
    for block in blocks("python"):
        exec(block, namespace)  # noqa: S102  it is our own README


COMMANDS = re.findall(r"^\$ (.*kickai ask.*)\n(.*)$", "\n".join(blocks("console")), re.MULTILINE)


@pytest.mark.parametrize(("command", "output"), COMMANDS)
def test_the_commands_answer_what_is_shown(command, output):
    """The chain of each command, with the variables before it, gives the answer below it."""
    words = shlex.split(command)
    start = words.index("kickai")
    env = dict(word.split("=", 1) for word in words[:start])
    assert words[start : start + 3] == ["kickai", "ask", "--chain"]
    targets, prompt = words[start + 3].split(","), words[start + 4]

    with Resolver.from_settings({}, env=env) as resolver:
        reply = resolver.chain(*targets).invoke(prompt)

    assert (reply.text, reply.fell_back) == (output, True)


def test_the_settings_example_is_read_whole(tmp_path):
    """The TOML of the drill is valid, and does what its comments say."""
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
    """Return the line of the table that tells of one kind of fault."""
    kind = KINDS[name]
    form = f"`{name}`" if not kind.takes else f"`{name}:{kind.takes.upper()}`"
    form = form if kind.needs or not kind.takes else f"`{name}`, {form}"
    status = f", {kind.status_code}" if kind.status_code else ""
    raised = f"`{kind.error.__name__}`{status}" if kind.error else ""
    return f"| {form} | {kind.meaning} | {raised} |"


def test_the_table_of_faults_is_the_vocabulary():
    """Every kind has its line, in order, and no line is made up."""
    table = re.findall(r"^\| `.*\|$", README, re.MULTILINE)

    assert table == [row(name) for name in KINDS]
