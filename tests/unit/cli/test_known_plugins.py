"""The directory of plugins, and how each of them can be installed."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from command_line import CommandLine

from kickai_providers_core.cli import known_plugins
from kickai_providers_core.cli.known_plugins import KnownPlugin, read_directory
from kickai_providers_core.plugin_api.discovery import PACKAGES
from kickai_providers_core.plugin_api.installation import Installation

ROOT = Path(__file__).parents[3]
FOLDERS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


@pytest.fixture
def kickai(tmp_path, monkeypatch, capsys):
    """Return the command line in an empty folder."""
    return CommandLine(tmp_path, monkeypatch, capsys)


def test_every_plugin_of_this_project_is_listed_once():
    """A new folder in plugins/ needs a table in docs/plugins.toml."""
    own = [known.package for known in read_directory() if known.is_own]
    assert sorted(own) == [folder.name for folder in FOLDERS]


def test_no_package_is_listed_twice():
    """A package has one table."""
    packages = [known.package for known in read_directory()]
    assert len(set(packages)) == len(packages)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_listed_provider_has_the_name_of_its_entry_point(folder):
    """Its page exists."""
    (known,) = [known for known in read_directory() if known.package == folder.name]
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project.get("entry-points", {}).get("kickai.providers", {})
    if known.kind == "provider":
        assert list(points) == [known.name]
    assert (ROOT / "docs" / known.url).resolve() == folder / "README.md"


def test_the_names_in_messages_are_those_of_the_directory():
    """A message about a provider that is not installed names the package that is listed."""
    listed = {known.name: known.package for known in read_directory() if known.kind == "provider"}
    assert PACKAGES.items() <= listed.items()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("package", "Kickai_X"),
        ("kind", "thing"),
        ("summary", ""),
        ("summary", "ends with a full stop."),
        ("summary", "a" * 91),
        ("needs", "a" * 91),
        ("url", "http://example.com"),
        ("url", "javascript:alert(1)"),
    ],
)
def test_a_malformed_row_is_an_error(field, value):
    """The tests of a pull request find it."""
    row = {"package": "kickai-x", "kind": "provider", "summary": "Answers", "url": "https://example.com/x"}
    KnownPlugin(**row)
    with pytest.raises(ValueError, match=f"'{field}'"):
        KnownPlugin(**row | {field: value})


THIRD = '[[plugin]]\npackage = "kickai-osprey"\nkind = "provider"\nname = "osprey"\nsummary = "Birds"\n'


def test_the_command_lists_what_to_install(kickai, monkeypatch, tmp_path):
    """An installed package has its version, others the command for this installation."""
    (tmp_path / "docs").mkdir()
    text = (ROOT / "docs" / "plugins.toml").read_text(encoding="utf-8")
    (tmp_path / "docs" / "plugins.toml").write_text(f'{text}\n{THIRD}url = "https://example.com/osprey"\n')
    monkeypatch.setattr(known_plugins, "NAME", str(tmp_path / "docs" / "plugins.toml"))
    rows = {row["package"]: row for row in kickai("providers", "--available", "--json").json["available"]}
    assert rows["kickai-osprey"] == {
        "package": "kickai-osprey",
        "kind": "provider",
        "name": "osprey",
        "summary": "Birds",
        "needs": "",
        "url": "https://example.com/osprey",
        "installed": None,
        "install": "pip install kickai-osprey",
    }
    assert rows["kickai-hf"]["install"] == Installation.find().describe_command("kickai-hf")
    ended = kickai("providers", "--available")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[-3:] == [
        "kickai-osprey · provider · osprey · not installed", "  Birds", "  pip install kickai-osprey",
    ]  # fmt: skip


def test_an_installed_package_has_its_version(kickai):
    """No command is shown for it."""
    pytest.importorskip("kickai_mock")
    shown = kickai("providers", "--available").out
    assert f"kickai-mock · provider · mock · installed, {version('kickai-mock')}\n" in shown
    assert "kickai-mock\n" not in shown


IN_A_CLONE = "pip install ./plugins/kickai-hf in a clone of the project"


@pytest.mark.parametrize(
    ("installation", "command"),
    [
        (Installation(folder=ROOT), f"pip install {ROOT}/plugins/kickai-hf"),
        (
            Installation(folder=ROOT / "docs", url="file:///x"),
            IN_A_CLONE,
        ),
        (Installation(url="file:///x.whl"), IN_A_CLONE),
        (Installation(version="0.1.0"), "pip install kickai-hf"),
    ],
    ids=["clone", "another folder", "wheel", "package index"],
)
def test_the_command_fits_how_the_core_was_installed(installation, command):
    """Only a core from a package index has its plugins there too."""
    assert installation.describe_command("kickai-hf") == command
