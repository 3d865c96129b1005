"""No command writes a key, wherever it was set."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
from command_line import installed

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import CommandLine

NAMES = ("HUGGINGFACE_API_TOKEN", "HF_TOKEN", "GOOGLE_API_KEY", "GEMINI_API_KEY")
MARK = "CANARY"
CANARY = f"hf_{MARK}1234567890abcdefghijklmnopqrst"
OTHER = f"AIza{MARK}0987654321zyxwvutsrqponmlkji"

LEAKY = """
import attrs
from kickai_providers_core import (
    FinishReason, Problem, ProviderInfo, ProviderSettings, ProviderUnavailableError, Reply, Secret, hookimpl,
)

@attrs.frozen(kw_only=True)
class LeakySettings(ProviderSettings):
    token: Secret | None = None
    spare: tuple[Secret, ...] = ()
    size: int = 0

def keys(settings):
    return " ".join(key.reveal() for key in (settings.token, *settings.spare) if key)

@hookimpl
def kickai_provider_info():
    return ProviderInfo(
        name="leaky",
        summary="a careless plugin",
        settings_class=LeakySettings,
        environment=dict.fromkeys(("HUGGINGFACE_API_TOKEN", "HF_TOKEN", "GOOGLE_API_KEY", "GEMINI_API_KEY"), "token"),
    )

@hookimpl
def kickai_validate_provider(settings, online):
    if online:
        yield Problem(path="token", message=f"{keys(settings)} is refused", hint=f"not {keys(settings)}")

@hookimpl
def kickai_create_provider(settings):
    return settings

@hookimpl
def kickai_invoke_provider(provider, request, timeout_s):
    if request.model == "careless":
        raise ProviderUnavailableError(f"GET https://x?key={keys(provider)}")
    if request.model == "wild":
        raise ValueError(keys(provider))
    if request.model == "ending":
        raise SystemExit(keys(provider))
    return Reply(text=f"my key is {keys(provider)}", finish_reason=FinishReason.STOP, request_id=keys(provider))
"""

TARGETS = ("leaky", "leaky:careless", "leaky:wild", "leaky:ending")
LISTINGS = (
    ("providers",),
    ("providers", "--json"),
    ("roles",),
    ("roles", "--json"),
    ("roles", "nobody"),
    ("doctor",),
    ("doctor", "--json"),
    ("doctor", "--online", "--debug"),
    ("doctor", "--online", "--json"),
)
FLAGS = ((), ("--json",), ("--stream", "--json"), ("-v", "--debug"))
ASKS = tuple(("ask", "--chain", target, *flags, "hi") for target, flags in itertools.product(TARGETS, FLAGS))

FILES = {
    "a key in the file": f'[providers.leaky]\ntoken = "{CANARY}"\nspare = ["{OTHER}"]\n',
    "a reference to a variable": '[providers.leaky]\ntoken = { env = "MINE" }\nspare = [{ env = "HF_TOKEN" }]\n',
    "a reference to a file": '[providers.leaky]\ntoken = { file = "key.txt" }\n',
    "no file": "",
    "a key for a number": f'[providers.leaky]\nsize = "{CANARY}"\n',
    "a key for a table": f'providers = "{CANARY}"\n',
    "a key in a list": f'[providers.leaky]\ntoken = ["{CANARY}"]\nspare = "{OTHER}"\n',
    "a key under a misspelled name": f'[providers.leaky]\ntokn = "{CANARY}"\n',
    "a key that TOML cannot read": f'[providers.leaky]\ntoken = "{CANARY}\n',
    "a key as a provider": f'[kickai]\nprimary = "{CANARY}"\n',
    "a key as a target": f'[roles.x]\nchain = ["{CANARY}:{OTHER}"]\n',
}


@pytest.fixture(autouse=True)
def leaky(kickai: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set keys everywhere, and install a plugin that leaks them."""
    folder = kickai.folder
    module = f"leaky_plugin_{os.getpid()}"
    (folder / f"{module}.py").write_text(LEAKY, encoding="utf-8")
    info = folder / "leaky-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[kickai.providers]\nleaky = {module}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    kickai.write("".join(f"{name}={CANARY}\n" for name in NAMES), ".env")
    kickai.write(f"{CANARY}\n", "key.txt")
    monkeypatch.setenv("KICKAI_PROVIDERS__LEAKY__RETRIES", "0")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "origin"),
    [*((place, "environment") for place in FILES), ("no file", ".env"), ("a key in the file", ".env")],
)
def test_no_command_writes_a_key(kickai: CommandLine, place: str, origin: str) -> None:
    """With any settings, flags and plugin."""
    kickai.write(FILES[place])
    own = {"MINE": CANARY, "KICKAI_PROVIDERS__LEAKY__SPARE": OTHER if place == "no file" else ""}
    env = {**own, **dict.fromkeys(NAMES if origin == "environment" else (), OTHER)}
    for arguments in (*LISTINGS, *ASKS):
        ended = kickai(*arguments, env=env)
        assert MARK not in ended.out + ended.err, arguments
        assert ended.out + ended.err, arguments


def test_the_plugin_of_these_tests_leaks_keys(kickai: CommandLine) -> None:
    """Each leak shows a mask in place of the key."""
    env = {"HF_TOKEN": CANARY}
    assert kickai("ask", "--chain", "leaky", "hi", env=env).out == "my key is ***\n"
    assert "GET https://x?key=*** (after" in kickai("ask", "--chain", "leaky:careless", "hi", env=env).err
    assert "ValueError: ***" in kickai("ask", "--debug", "--chain", "leaky:wild", "Who can play?", env=env).err
    ending = kickai("ask", "--debug", "--chain", "leaky:ending", "Who can play?", env=env)
    assert (ending.code, "SystemExit: ***" in ending.err) == (1, True)
    assert "*** is refused. not ***" in kickai("doctor", "--online", env=env).out


def test_a_key_in_the_file_works_with_a_warning(kickai: CommandLine) -> None:
    """The warning names the setting."""
    kickai.write(FILES["a key in the file"])
    ended = kickai("ask", "--chain", "leaky", "hi")
    assert (ended.code, ended.out) == (0, "my key is *** ***\n")
    assert ended.err.startswith("warning: kickai.toml: providers.leaky.token: ")
    assert len(ended.err.splitlines()) == 2


def test_the_installed_program_writes_no_key_with_any_plugin(tmp_path: Path) -> None:
    """All installed plugins get the keys."""
    keys = dict.fromkeys(NAMES, CANARY)
    for arguments in (("providers",), ("doctor", "--json"), ("roles", "squad_selector")):
        ended = installed(*arguments, folder=tmp_path, **keys)
        assert ended.code in {0, 1}
        assert MARK not in ended.out + ended.err
