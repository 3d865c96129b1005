"""Every command and program of the page about migrating works, in the order of the page.

Instances of kickai-mock with the names of the vendors answer instead of the services.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command_line import PROGRAM, environment

from kickai_providers_core.cli.command_group import COMMANDS
from kickai_providers_core.compat import MigrationReport, __all__
from kickai_providers_core.config.environment import CORE_VARIABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "env.example").read_text(encoding="utf-8")
BLOCK = re.compile(r'^```(\w+)(?: title="(\w+\.py)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
VENDORS = """
[providers.huggingface]
kind = "mock"
reply = "Hugging Face answers"

[providers.gemini]
kind = "mock"
reply = "Gemini answers"
"""
VARIABLE = re.compile(r"^([A-Z_]+)=(.*)$", re.MULTILINE)


class Shell:
    """Runs the blocks of the page in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, command: str) -> str:
        """Run a command of the page, which must succeed, and return its output."""
        done = subprocess.run(
            ["bash", "-c", command],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=environment(PATH=f"{PROGRAM.parent}:/usr/bin:/bin", KICKAI_PLUGINS="mock"),
            timeout=120,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout

    def run_program(self, name: str, source: str) -> str:
        """Run a program of the page, which must succeed, and return its output."""
        (self.folder / name).write_text(source, encoding="utf-8")
        return self.run(f"{sys.executable} -W error {name}")

    def write_settings(self, text: str) -> None:
        """Add a block of settings to the file, with mock instances in place of the vendors."""
        path = self.folder / "kickai.toml"
        if "[kickai]" in text:
            path.unlink()  # the page shows the whole file, without the commented lines of kickai init
            path.write_text(text + VENDORS, encoding="utf-8")
        else:
            path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_every_block_works_in_order(tmp_path: Path) -> None:
    """Gemini answers before the rollout begins, the ramp starts, and the rollback moves everything back."""
    pytest.importorskip("kickai_mock", reason="mock instances answer instead of the services")
    shutil.copy(ROOT / "env.example", tmp_path)
    shell, outputs = Shell(tmp_path), {}
    for language, title, text in BLOCK.findall(PAGE):
        if language == "toml":
            shell.write_settings(text)
        elif language == "python":
            outputs[title] = shell.run_program(title, text)
        else:
            for command in text.splitlines():
                if not command.startswith("pip "):  # needs a network; tested below
                    outputs[command] = shell.run(command)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert "2 of 2 providers answered" in outputs["kickai check-config --online"]
    roles = outputs["kickai roles player_coordinator"]
    assert "huggingface:" in roles
    assert "gemini:" in roles
    assert outputs["agents.py"] == "Gemini answers\n"
    assert "ramp running" in outputs["kickai rollout status"]
    assert "squad_selector" in outputs["kickai report --since 24h"]
    assert outputs["AI_PROVIDER=gemini kickai roles finance_manager"].index("1. gemini") > 0
    assert "incident" in outputs["kickai rollout history"]
    assert "gemini" in outputs["health.py"]
    assert outputs["outside.py"] == ""


def test_the_installed_distributions_exist() -> None:
    """Each path in the command is that of a distribution of this project, with the named extras."""
    (command,) = [line for _, _, text in BLOCK.findall(PAGE) for line in text.splitlines() if line.startswith("pip ")]
    projects = [
        tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        for path in (ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml"))
    ]
    extras = {project["name"]: set(project.get("optional-dependencies", {})) for project in projects}
    for requirement in command.partition("#")[0].replace("'", "").split()[2:]:
        path, _, named = requirement.rstrip("]").partition("[")
        name = projects[0]["name"] if path == "." else path.removeprefix("./plugins/")
        assert set(filter(None, named.split(","))) <= extras[name], requirement


def test_the_commands_exist() -> None:
    """Each command that the page names, in a block or in a sentence, is one of the program."""
    assert {name for name in re.findall(r"kickai ([a-z-]+)", PAGE) if name != "instead"} <= set(COMMANDS)


def test_the_page_documents_the_plans_names() -> None:
    """Each function, and each class that an application uses by its name, and each key of the report."""
    helpers = {name for name in __all__ if name.endswith(("Report", "View", "Monitor", "Keywords", "Provider"))}
    helpers |= {"ConfiguredLLM", "TextLLM", "get_resolver"}
    assert [name for name in __all__ if name not in PAGE and name not in helpers] == []
    assert [key for key in MigrationReport.__annotations__ if f"`{key}`" not in PAGE] == []


def test_each_variable_of_the_example_is_known() -> None:
    """It is one of the core or of a plugin of this project, has no value, and those of the core are complete."""
    plugins = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("plugins/*/src/*/plugin.py"))
    of_plugins = set(re.findall(r'"([A-Z_]+)": "', plugins))
    variables = dict(VARIABLE.findall(EXAMPLE))
    assert set(variables) <= set(CORE_VARIABLES) | of_plugins
    assert set(CORE_VARIABLES) <= set(variables)
    assert not any(variables.values())


def test_the_example_has_the_form_of_a_dotenv() -> None:
    """Each line is a comment, a variable or empty."""
    assert [line for line in EXAMPLE.splitlines() if line and not line.startswith("#") and "=" not in line] == []
