"""Trusted files: which found files are used, and where a plugin's own key may be sent."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest
from attrs import evolve, field, frozen
from known_plugins import INFOS

from kickai_providers_core import ConfigError, ProviderInfo, ProviderSettings, Secret
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.sources import read
from kickai_providers_core.config.trusted_files import MAX_BYTES
from kickai_providers_core.plugin_api.settings import service_address

OTHER_USER = 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
TOML = "[kickai]\ndeadline_s = 7\n"
NAMES = {"kickai.toml": TOML, ".env": "KICKAI_DEADLINE_S=7\n"}


def change_owner(path):
    """Give a file to another user."""
    os.chown(path, OTHER_USER, -1)


def link_by_other_user(path):
    """Replace the file by a link of another user."""
    target = path.rename(path.with_name("target"))
    path.symlink_to(target)
    os.chown(path, OTHER_USER, -1, follow_symlinks=False)


def link_into_open_folder(path):
    """Move a file to a world-writable folder, and link to it."""
    folder = path.parent / "open"
    folder.mkdir()
    path.rename(folder / "target")
    path.symlink_to("open/target")
    folder.chmod(0o777)


def replace_by_fifo(path):
    """Replace the file by a named pipe."""
    path.unlink()
    os.mkfifo(path)


def allow_group(path):
    """Let a group write to the file."""
    os.chown(path, -1, OTHER_USER)
    path.chmod(0o664)


UNTRUSTED = {
    "of another user": (change_owner, f"it belongs to user {OTHER_USER}", True),
    "for everybody to write": (lambda path: path.chmod(0o666), "anyone can write to it", False),
    "for a group to write": (allow_group, f"group {OTHER_USER} can write to it", True),
    "in an open folder": (lambda path: path.parent.chmod(0o777), "anyone can write to the folder", False),
    "below an open folder": (lambda path: path.parent.parent.chmod(0o777), "anyone can write to the folder", False),
    "behind a link into an open folder": (link_into_open_folder, "anyone can write to the folder", False),
    "behind another user's link": (
        link_by_other_user,
        f"a symbolic link on its path belongs to user {OTHER_USER}",
        True,
    ),
    "a named pipe": (replace_by_fifo, "got a named pipe", False),
}


@pytest.fixture
def folder(tmp_path):
    """Return a folder two levels below a private one."""
    folder = tmp_path / "above" / "here"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("case", UNTRUSTED)
@pytest.mark.parametrize("name", NAMES)
def test_a_found_file_that_others_can_write_to_is_ignored(folder, name, case):
    """One problem names the file, the reason, and how to use it anyway; everything else works."""
    spoil, reason, by_root = UNTRUSTED[case]
    if by_root and os.geteuid() != 0:
        pytest.skip("only root may give files away")
    (folder / name).write_text(NAMES[name])
    spoil(folder / name)
    found = structure(read(None, {}, folder=folder), INFOS)
    (problem,) = [warning for warning in found.warnings if warning.path == ""]
    assert found.kickai.deadline_s == 30
    assert (problem.source, problem.severity) == (name, "warning")
    assert reason in problem.message
    assert "--config" in problem.hint
    assert "KICKAI_CONFIG" in problem.hint


@pytest.mark.parametrize("case", [case for case in UNTRUSTED if case != "a named pipe"])
@pytest.mark.parametrize("by_variable", [False, True])
def test_a_named_file_is_used_whoever_owns_it(folder, case, by_variable):
    """So is the .env next to it."""
    spoil, _, by_root = UNTRUSTED[case]
    if by_root and os.geteuid() != 0:
        pytest.skip("only root may give files away")
    for name, text in NAMES.items():
        (folder / name).write_text(text.replace("DEADLINE_S=7", "PRIMARY=mock"))
    spoil(folder / "kickai.toml")
    path = str(folder / "kickai.toml")
    document = read(None, {"KICKAI_CONFIG": path}) if by_variable else read(path, {})
    found = structure(document, INFOS)
    assert (found.kickai.deadline_s, found.kickai.primary) == (7, "mock")
    assert not [warning for warning in found.warnings if warning.path == ""]


def test_a_dotenv_cannot_name_the_settings_file(folder):
    """A warning says where to set the variable."""
    (folder / "own.toml").write_text(TOML)
    (folder / ".env").write_text("KICKAI_CONFIG=own.toml\n")
    document = read(None, {}, folder=folder)
    assert document.tables == {}
    assert [str(warning) for warning in document.warnings] == [
        ".env: KICKAI_CONFIG is ignored here; set it in the environment of the process"
    ]


def test_the_search_continues_above_an_ignored_file(folder):
    """The next file is used."""
    (folder / "kickai.toml").write_text("[kickai]\ndeadline_s = 8\n")
    (folder / "kickai.toml").chmod(0o666)
    (folder.parent / "kickai.toml").write_text(TOML)
    document = read(None, {}, folder=folder)
    assert document.tables["kickai"] == {"deadline_s": 7}
    assert len(document.warnings) == 1


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_the_users_own_file_is_used(folder, mode):
    """Also in a sticky world-writable folder, and behind links of the user."""
    folder.parent.chmod(0o1777)
    (folder / "kickai.toml").write_text(TOML)
    (folder / "kickai.toml").chmod(mode)
    (folder / "below").mkdir()
    (folder / "link").symlink_to("below/../below")
    (folder / "below" / "kickai.toml").symlink_to("../kickai.toml")
    assert read(None, {}, folder=folder / "link").tables["kickai"] == {"deadline_s": 7}


@needs_root
def test_a_file_of_root_in_a_sticky_folder_is_ignored():
    """Another user could have moved it there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kickai.toml").write_text(TOML)
        folder.chmod(0o1777)
        os.seteuid(OTHER_USER)
        try:
            document = read(None, {}, folder=folder)
        finally:
            os.seteuid(0)
    assert document.tables == {}
    assert "it belongs to root, and anyone can write to the folder" in document.warnings[0].message


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(lambda path: path.chmod(0o666), "anyone can write to it"), (allow_group, "group")],
)
def test_a_secret_file_of_a_found_settings_file_must_be_trusted(folder, spoil, reason):
    """That of a named settings file is used regardless of its owner."""
    if os.geteuid() != 0 and spoil is allow_group:
        pytest.skip("only root may give files away")
    (folder / "my.key").write_text("secret-key")
    (folder / "kickai.toml").write_text('[providers.hf]\ntoken = { file = "my.key" }\n')
    spoil(folder / "my.key")
    found = structure(read(None, {}, folder=folder), INFOS)
    assert not found.providers["huggingface"].token
    (problem,) = [warning for warning in found.warnings if warning.missing]
    assert (problem.path, problem.missing) == ("providers.hf.token", "file my.key")
    assert "is ignored, because" in problem.message
    assert reason in problem.message
    named = structure(read(folder / "kickai.toml", {}), INFOS)
    assert named.providers["huggingface"].token == Secret("secret-key")


SPECIAL = {
    "a directory": lambda path: path.mkdir(),
    "a named pipe": os.mkfifo,
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    f"a file of more than {MAX_BYTES // 1024} KiB": lambda path: path.write_bytes(b"#" * (MAX_BYTES + 1)),
}


@pytest.mark.parametrize("kind", [kind for kind in SPECIAL if kind != "a socket"])
def test_a_named_path_must_be_a_regular_file(tmp_path, monkeypatch, kind):
    """Nothing blocks, and the message says what it is."""
    monkeypatch.chdir(tmp_path)
    SPECIAL[kind](tmp_path / "x")
    with pytest.raises(ConfigError) as caught:
        read("x", {})
    assert str(caught.value) == f"x: must be a regular file of at most {MAX_BYTES // 1024} KiB, got {kind}"


@pytest.mark.parametrize("kind", [kind for kind in SPECIAL if kind not in {"a socket", "a directory"}])
def test_a_secret_file_must_be_a_regular_file(tmp_path, monkeypatch, kind):
    """Nothing blocks."""
    monkeypatch.chdir(tmp_path)
    SPECIAL[kind](tmp_path / "x")
    with pytest.raises(ConfigError, match=f"cannot read 'x': it is {kind}"):
        structure(read({"providers": {"hf": {"token": {"file": "x"}}}}, {}), INFOS)


def test_a_file_that_is_swapped_after_the_check_is_not_used(folder, monkeypatch):
    """The file is read from the descriptor that was checked."""
    path = folder / "kickai.toml"
    path.write_text(TOML)
    checked = os.fstat

    def swap(descriptor):
        found = checked(descriptor)
        if stat.S_ISREG(found.st_mode):
            path.unlink(missing_ok=True)
            path.write_text("[kickai]\ndeadline_s = 666\n")
        return found

    monkeypatch.setattr(os, "fstat", swap)
    assert read(None, {}, folder=folder).tables["kickai"] == {"deadline_s": 7}


@frozen(kw_only=True)
class ServiceSettings(ProviderSettings):
    """Settings with a key and a declared address."""

    api_key: Secret | None = None
    base_url: str | None = field(default=None, metadata=service_address("https://api.service.example"))
    label: str = ""


@frozen(kw_only=True)
class PlainSettings(ProviderSettings):
    """The same without the declaration."""

    api_key: Secret | None = None
    base_url: str = "https://api.service.example"
    label: str = ""


VARIABLES = {"SERVICE_KEY": "api_key", "SERVICE_URL": "base_url", "SERVICE_LABEL": "label"}
SERVICE = ProviderInfo(name="service", summary="", settings_class=ServiceSettings, environment=VARIABLES)
KEY = {"SERVICE_KEY": "canary-key", "SERVICE_LABEL": "label"}
ELSEWHERE = "https://evil.example"


@pytest.mark.parametrize("settings_class", [ServiceSettings, PlainSettings])
@pytest.mark.parametrize(
    ("toml", "dotenv", "env", "is_sent"),
    [
        ("", "", {}, True),
        (f'base_url = "{ELSEWHERE}"', "", {}, False),
        ('base_url = "https://api.service.example.evil.example"', "", {}, False),
        ('base_url = "https://api.service.example@evil.example"', "", {}, False),
        ('base_url = "http://api.service.example"', "", {}, False),
        ('base_url = "https://api.service.example:8443"', "", {}, False),
        ('base_url = "https://API.service.example:443/v2"', "", {}, True),
        (f'base_url = "{ELSEWHERE}"', "", {"SERVICE_URL": "https://mine.example"}, True),
        (f'base_url = "{ELSEWHERE}"', "", {"KICKAI_PROVIDERS__SERVICE__BASE_URL": "https://mine.example"}, True),
        ("", f"SERVICE_URL={ELSEWHERE}", {}, False),
        ("", f"KICKAI_PROVIDERS__SERVICE__BASE_URL={ELSEWHERE}", {}, False),
        ("", f"SERVICE_URL={ELSEWHERE}\nSERVICE_KEY=canary-key", {"SERVICE_KEY": ""}, True),
        (f'base_url = "{ELSEWHERE}"', "SERVICE_KEY=canary-key", {"SERVICE_KEY": ""}, False),
        (f'base_url = "{ELSEWHERE}"\napi_key = {{ env = "SERVICE_KEY" }}', "", {}, True),
    ],
)
def test_a_plugins_own_key_is_sent_to_the_vendors_address_only(  # noqa: PLR0917 # the cases are a table
    tmp_path, settings_class, toml, dotenv, env, is_sent
):
    """When a file changes the address, the key is withheld with a warning; other variables are read."""
    (tmp_path / "kickai.toml").write_text(f"[providers.service]\n{toml}\n")
    (tmp_path / ".env").write_text(f"{dotenv}\n")
    infos = {"service": evolve(SERVICE, settings_class=settings_class)}
    found = structure(read(None, {**KEY, **env}, folder=tmp_path), infos)
    assert found.providers["service"].label == "label"
    assert found.providers["service"].api_key == (Secret("canary-key") if is_sent else None)
    messages = [str(warning) for warning in found.warnings if warning.path == "providers.service.api_key"]
    assert bool(messages) is not is_sent
    if messages:
        assert messages[0].endswith(
            "providers.service.api_key: SERVICE_KEY is not used, because base_url is not the vendor's address. "
            'To send the key there, write api_key = { env = "SERVICE_KEY" } in [providers.service]'
        )
        assert "canary" not in messages[0]


def test_no_warning_when_another_key_replaces_the_plugins_own(tmp_path):
    """A key of the instance itself is sent to its address."""
    (tmp_path / "kickai.toml").write_text(f'[providers.service]\nbase_url = "{ELSEWHERE}"\n')
    env = {**KEY, "KICKAI_PROVIDERS__SERVICE__API_KEY": "mine"}
    found = structure(read(None, env, folder=tmp_path), {"service": SERVICE})
    assert found.providers["service"].api_key == Secret("mine")
    assert not [warning for warning in found.warnings if warning.path.endswith("api_key")]
