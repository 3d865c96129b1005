"""The settings file that ``kickai init`` writes."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys

import pytest
from command_line import CommandLine
from known_plugins import INFOS

from kickai_providers_core import ConfigError
from kickai_providers_core.cli.init import write_new
from kickai_providers_core.cli.init_settings import Found, choose_order, render_settings
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.sources import read


@pytest.fixture
def kickai(tmp_path, monkeypatch, capsys):
    """Return the command line in an empty folder."""
    return CommandLine(tmp_path, monkeypatch, capsys)


def load(folder):
    """Return the settings of a folder's file."""
    return structure(read(None, {}, folder=folder), INFOS)


def list_names(folder):
    """Return the names of a folder's files."""
    return [path.name for path in folder.iterdir()]


WARNINGS = structure(read({}, {}), INFOS).warnings
"""The warnings about the plugins of the tests, which are there without any file too."""


def uncomment(text):
    """Return the text with every suggested setting switched on."""
    return re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)


FOUND = (Found("huggingface", "a cloud"), Found("mock", "a mock"), Found("gemini", "cloud", ("GOOGLE_API_KEY",)))


@pytest.mark.parametrize("found", [(), FOUND, FOUND[:1], FOUND[1:2]], ids=lambda found: f"{len(found)} providers")
def test_the_text_is_valid_settings(tmp_path, found):
    """With and without its suggestions."""
    text = render_settings(choose_order(found))
    (tmp_path / "kickai.toml").write_text(text, encoding="utf-8")
    settings = load(tmp_path)
    assert settings.warnings == WARNINGS
    assert settings.store.url is not None
    assert settings.store.url.reveal() == f"sqlite:///{tmp_path}/kickai.db"
    (tmp_path / "kickai.toml").write_text(uncomment(text), encoding="utf-8")
    settings = load(tmp_path)
    assert settings.store.keep_days == 400
    assert settings.rollout.candidate == "huggingface"


def test_the_order_of_the_providers():
    """Those with a key first, then those without, then local ones; test providers only when there is nothing else."""
    cloud = [Found("gemini", "", ("KEY",)), Found("zeta", ""), Found("huggingface", "", ("KEY",)), Found("openai", "")]
    names = [each.name for each in choose_order([Found("local", ""), FOUND[1], *cloud])]
    assert names == ["openai", "zeta", "huggingface", "gemini", "local"]
    assert [each.name for each in choose_order(FOUND[1:2])] == ["mock"]


def test_the_suggested_timeout_is_the_default_of_the_provider(kickai, tmp_path):
    """Uncommenting the line of a local provider does not shorten its timeout to that of a cloud service."""
    pytest.importorskip("kickai_ollama", reason="its default differs from the others")
    assert kickai("init", env={"KICKAI_PLUGINS": "ollama"}).code == 0
    text = (tmp_path / "kickai.toml").read_text(encoding="utf-8")
    assert "# timeout_s = 120  # time limit of one attempt\n" in text
    assert "# timeout_s = 10  # time limit of one attempt\n" in render_settings(FOUND)


def test_it_writes_a_file_for_the_installed_providers(kickai, tmp_path):
    """The output says what is missing and what to do next, and no key is written."""
    done = kickai("init", env={"GOOGLE_API_KEY": "canary", "KICKAI_PLUGINS": "gemini,huggingface,mock"})
    assert (done.code, done.err) == (0, "")
    assert "wrote kickai.toml\n" in done.out
    assert "  kickai doctor\n" in done.out
    text = (tmp_path / "kickai.toml").read_text(encoding="utf-8")
    assert "canary" not in text + done.out
    assert stat.S_IMODE((tmp_path / "kickai.toml").stat().st_mode) == 0o600
    assert list_names(tmp_path) == ["kickai.toml"]
    if "gemini: ready" in done.out:  # with the plugins installed
        assert 'primary = "gemini"' in text
    assert kickai("roles", env={"KICKAI_PLUGINS": "none"}).code in {0, 2}


def test_nothing_is_installed(kickai, tmp_path):
    """The file is valid nevertheless, and the next step is to install a provider."""
    done = kickai("init", "--json", env={"KICKAI_PLUGINS": "none"})
    assert done.code == 0
    assert done.json == {
        "path": "kickai.toml",
        "providers": [],
        "next_steps": ["kickai providers --available", "kickai doctor"],
    }
    assert load(tmp_path).warnings == WARNINGS


def test_another_path(kickai, tmp_path):
    """The commands need the option for it."""
    (tmp_path / "deep").mkdir()
    done = kickai("init", "--path", "deep/kickai.toml", "--json", env={"KICKAI_PLUGINS": "none"})
    assert done.json["next_steps"][-1] == "kickai doctor --config deep/kickai.toml"
    assert (tmp_path / "deep" / "kickai.toml").exists()


@pytest.mark.parametrize("kind", ["file", "link"])
def test_an_existing_file_is_kept(kickai, tmp_path, kind):
    """Unless it is to be replaced; a link to nowhere is a file too."""
    path = tmp_path / "kickai.toml"
    if kind == "file":
        path.write_text("[kickai]\n", encoding="utf-8")
    else:
        path.symlink_to(tmp_path / "nowhere.toml")
    done = kickai("init", env={"KICKAI_PLUGINS": "none"})
    assert (done.code, done.out) == (2, "")
    assert done.err == "kickai: kickai.toml: the file exists. Replace it with --force\n"
    assert not (tmp_path / "nowhere.toml").exists()
    assert kickai("init", "--force", env={"KICKAI_PLUGINS": "none"}).code == 0
    assert "[store]" in path.read_text(encoding="utf-8")
    assert not path.is_symlink()
    assert list_names(tmp_path) == ["kickai.toml"]


def test_a_folder_that_does_not_exist(kickai):
    """The message names the file."""
    done = kickai("init", "--path", "nowhere/kickai.toml", env={"KICKAI_PLUGINS": "none"})
    assert done.code == 2
    assert done.err == (
        "kickai: nowhere/kickai.toml: the file cannot be written: No such file or directory. "
        "Choose another one with --path\n"
    )


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(kickai, tmp_path):
    """Nothing is left behind."""
    (tmp_path / "locked").mkdir(mode=0o500)
    done = kickai("init", "--path", "locked/kickai.toml", env={"KICKAI_PLUGINS": "none"})
    assert done.code == 2
    assert "Permission denied" in done.err


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    """And no half of a new one."""
    path = tmp_path / "kickai.toml"
    path.write_text("old", encoding="utf-8")

    def fail(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfigError, match="No space left on device"):
        write_new(path, "new", is_replaced=True)
    assert path.read_text(encoding="utf-8") == "old"
    assert list_names(tmp_path) == ["kickai.toml"]


@pytest.mark.skipif(sys.platform == "win32", reason="a file system of Unix")
def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
    """The file is written directly, and an existing one is still kept."""

    def refuse(source, target):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "kickai.toml"
    write_new(path, "new", is_replaced=False)
    assert path.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="the file exists"):
        write_new(path, "newer", is_replaced=False)
    assert list_names(tmp_path) == ["kickai.toml"]
