"""``--debug``: shows plugin authors what was raised, without keys and prompts."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from command_line import CommandLine

PROMPT = 'Who has the "canary" in the squad of Saturday?\nAnd who drives them to the ground?'
SECRET, TOKEN = "settings-secret-0815", "token-of-the-environment"
SOURCE = """
import os
from kickai_providers_core import ProviderInfo, ProviderSettings, Reply, Secret, hookimpl
from attrs import frozen

@frozen(kw_only=True)
class Settings(ProviderSettings):
    key: Secret | None = None

@hookimpl
def kickai_provider_info():
    return ProviderInfo(name="author", summary="", settings_class=Settings)

@hookimpl
def kickai_create_provider(settings):
    return settings

@hookimpl
def kickai_invoke_provider(provider, request, timeout_s):
    text = request.messages[-1].content
    try:
        raise KeyError("the first fault, with " + provider.key.reveal() + " and " + os.environ["MY_TOKEN"])
    except KeyError as exc:
        texts = {"all": text, "repr": repr(text), "part": text[5:40], "upper": text.upper(), "none": "the second fault"}
        raise RuntimeError(texts[request.model]) from exc
"""


@pytest.fixture
def author(kickai: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """Return the command line with a plugin whose exceptions contain keys and prompts, and a broken one."""
    name = f"author_{os.getpid()}"
    broken = 'import os\nraise RuntimeError("no import: " + os.environ["MY_TOKEN"])\n'
    for module, source in ((name, SOURCE), (f"{name}_broken", broken)):
        (kickai.folder / f"{module}.py").write_text(source, encoding="utf-8")
        info = kickai.folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[kickai.providers]\n{module} = {module}\n", encoding="utf-8")
    kickai.write(f'[providers.author]\nkey = "{SECRET}"\nretries = 0\n')
    monkeypatch.syspath_prepend(str(kickai.folder))
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    yield kickai
    for module in (name, f"{name}_broken"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize("fallback", ["", ",mock"])
@pytest.mark.parametrize("model", ["all", "repr", "part", "upper", "none"])
@pytest.mark.parametrize("flags", [(), ("--stream",), ("--json",)])
def test_debug_shows_messages_without_keys_and_prompts(
    author: CommandLine, model: str, fallback: str, flags: tuple[str, ...]
) -> None:
    """Whether the request fails or falls back; a message with a part of the prompt is left out."""
    ended = author("ask", "--debug", *flags, "--chain", f"author:{model}{fallback}", PROMPT)
    assert ended.code == (0 if fallback else 1)
    assert "the first fault, with *** and ***" in ended.err
    shown = ended.err if fallback or flags != ("--json",) else ended.out + ended.err
    assert SECRET not in shown
    assert TOKEN not in shown
    for part in ("canary", "CANARY", "squad of", "drives them"):
        assert part not in ended.err
    assert ("the second fault" in ended.err) is (model == "none")
    assert ("RuntimeError: (not shown" in ended.err) is (model != "none")
    assert "texts = " not in ended.err  # no source lines


def test_without_debug_only_the_class_of_an_exception_is_shown(author: CommandLine) -> None:
    """Its message may contain anything."""
    ended = author("ask", "--chain", "author:none", PROMPT)
    assert "fault" not in ended.out + ended.err
    assert "RuntimeError" in ended.err


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_the_doctor_shows_what_an_import_raised(author: CommandLine, flags: tuple[str, ...]) -> None:
    """With the file and the message; keys are masked."""
    ended = author("doctor", "--debug", *flags)
    assert "RuntimeError: no import: ***" in ended.err
    assert "_broken.py" in ended.err
    assert TOKEN not in ended.out + ended.err
