"""The errors of ``kickai new-provider``. tests/scaffold writes distributions, which needs copier."""

from __future__ import annotations

import importlib.util
import re

import pytest
from command_line import CommandLine

from kickai_providers_core.scaffold import project


@pytest.fixture
def kickai(tmp_path, monkeypatch, capsys):
    """Return the command line in an empty folder."""
    return CommandLine(tmp_path, monkeypatch, capsys)


@pytest.fixture
def without_copier(monkeypatch):
    """Let copier be missing."""
    monkeypatch.setattr(project, "find_spec", lambda name: None if name == "copier" else importlib.util.find_spec(name))


def test_without_copier_the_error_says_what_to_install(kickai, without_copier):
    """The exit code is 2, and nothing is written."""
    ended = kickai("new-provider", "osprey")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith(
        "Error: new distributions need copier; run pip install 'kickai-providers-core[scaffold]'.\n"
    )
    assert list(kickai.folder.iterdir()) == []


@pytest.mark.parametrize("name", ["Osprey", "../osprey", "kickai-osprey", "a" * 33, "providers-core"])
def test_an_impossible_name_is_an_error(kickai, name):
    """The error quotes the name."""
    ended = kickai("new-provider", "--", name)
    assert (ended.code, ended.out) == (2, "")
    assert re.search(rf"Error: Invalid value for NAME: '{re.escape(name)}' (must|is taken)", ended.err)
    assert list(kickai.folder.iterdir()) == []


def test_the_name_of_an_installed_plugin_is_an_error(kickai):
    """The error names its distribution."""
    pytest.importorskip("kickai_mock")
    ended = kickai("new-provider", "mock")
    assert (ended.code, ended.out) == (2, "")
    assert "'mock' is taken by the installed distribution kickai-mock" in ended.err


@pytest.mark.parametrize("make", ["mkdir", "touch"])
def test_an_existing_folder_is_an_error(kickai, make, monkeypatch):
    """It stays as it is, whether it is a folder or a file."""
    monkeypatch.setattr(project, "find_spec", lambda name: object())
    path = kickai.folder / "kickai-osprey"
    getattr(path, make)()
    ended = kickai("new-provider", "osprey")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "kickai: kickai-osprey: the folder exists. Choose another name, or another folder with --path\n"
    )
    assert list(kickai.folder.iterdir()) == [path]


def test_the_help_has_examples(kickai):
    """It names the kinds and shows commands."""
    ended = kickai("new-provider", "--help")
    assert ended.code == 0
    assert "kickai new-provider osprey --kind sdk" in ended.out
    assert all(f"  {kind} " in ended.out for kind in project.KINDS)
