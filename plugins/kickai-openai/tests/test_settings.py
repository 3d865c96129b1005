"""Presets, keys, addresses and capabilities of an instance."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from calling import MODES, call
from kickai_providers_core import AuthenticationError, Capability, Resolver, Secret
from kickai_providers_core.authoring import address_problems
from kickai_providers_core.testing.chat_completions import ChatWire
from kickai_providers_core.testing.faults import FaultServer, Redirect, Silence, Status

from kickai_openai import checks, mapping
from kickai_openai.client import OpenAIProvider
from kickai_openai.plugin import plugin
from kickai_openai.presets import OTHER, PRESETS
from kickai_openai.settings import OpenAISettings

KEY = Secret("canary-key")


def problems(*, online=False, **settings):
    """Return the path and the severity of each problem."""
    found = plugin.kickai_validate_provider(settings=OpenAISettings(**settings), online=online)
    assert not any("canary" in str(problem) for problem in found)
    return [(problem.path, problem.severity) for problem in found]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_complete(name):
    """Each row has an address, and says where and when it was read."""
    row = PRESETS[name]
    assert list(address_problems("base_url", row.base_url)) == []
    assert row.sources
    assert row.checked >= date(2026, 11, 1)
    assert row.title
    assert row.base_url.startswith("https:") is (row.key_variable is not None)


def test_without_a_preset_it_is_openai():
    """Or, with an address, a service that needs nothing special."""
    assert OpenAISettings().service is PRESETS["openai"]
    assert OpenAISettings().address == "https://api.openai.com/v1"
    assert OpenAISettings().model == "gpt-4.1-mini"
    own = OpenAISettings(base_url="http://h")
    assert (own.service, own.address, own.model) == (OTHER, "http://h", None)
    moved = OpenAISettings(preset="vllm", base_url="http://gpu:8000/v1")
    assert (moved.service, moved.address) == (PRESETS["vllm"], "http://gpu:8000/v1")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"api_key": KEY}, []),
        ({}, [("api_key", "error")]),
        ({"preset": "groq", "model": "m"}, [("api_key", "error")]),
        ({"preset": "groq", "model": "m", "api_key": KEY}, []),
        ({"preset": "groq", "api_key": KEY}, [("model", "warning")]),
        ({"preset": "groq", "model": "m", "headers": {"authorization": "Basic canary"}}, []),
        ({"preset": "openrouter", "api_key": KEY}, []),
        ({"preset": "vllm", "model": "m"}, []),
        ({"preset": "lm-studio"}, []),
        ({"preset": "llama-cpp", "base_url": "http://192.168.1.7:8080"}, []),
        ({"base_url": "https://llm.example/v1"}, [("api_key", "warning")]),
        ({"base_url": "http://llm.example/v1", "api_key": KEY}, [("base_url", "error")]),
        ({"base_url": "http://llm.example/v1", "api_key": KEY, "allow_plain_http": True}, []),
        ({"base_url": "llm.example"}, [("base_url", "error"), ("api_key", "warning")]),
        ({"base_url": "https://me:pw@h", "api_key": KEY}, [("base_url", "error")]),
        ({"api_key": Secret("canary\nkey")}, [("api_key", "error")]),
        ({"api_key": KEY, "headers": {"Authorization": "Basic canary"}}, [("headers.Authorization", "error")]),
    ],
)
def test_the_problems_of_settings(settings, expected):
    """An error prevents the use; no message shows a key."""
    assert problems(**settings) == expected


def test_a_missing_key_names_its_variable():
    """It is the variable of the preset."""
    (problem,) = checks.find_settings_problems(OpenAISettings(preset="mistral", model="m"))
    assert problem.missing == "MISTRAL_API_KEY"
    assert "Mistral requires a key" in problem.message


@pytest.mark.parametrize(
    "settings", [{}, {"base_url": "http://llm.example/v1", "api_key": KEY}, {"base_url": "x"}, {"preset": "groq"}]
)
def test_a_provider_that_would_leak_a_key_cannot_be_created(settings):
    """Creation checks the settings, even when validation was skipped."""
    with pytest.raises(AuthenticationError) as caught:
        OpenAIProvider(OpenAISettings(**settings))
    assert "canary" not in str(caught.value)


def test_an_unknown_preset_is_an_error_of_the_settings():
    """The message lists the presets."""
    with pytest.raises(ValueError, match="groq"):
        OpenAISettings(preset="grok")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"preset": "deepseek"}, frozenset(Capability) - {Capability.JSON_SCHEMA}),
        ({"preset": "deepseek", "capabilities": (Capability.JSON_SCHEMA,)}, {Capability.JSON_SCHEMA}),
        ({"capabilities": ()}, frozenset()),
    ],
)
def test_the_capabilities_of_an_instance(settings, expected):
    """The settings come first, then the preset; None for no limit."""
    assert mapping.find_capabilities(OpenAISettings(**settings)) == expected
    assert plugin.kickai_provider_capabilities(settings=OpenAISettings(**settings)) == expected


def test_online_the_models_are_listed(server):
    """One request with the key, to the address before the chat's."""
    own = {"base_url": f"{server.url}/v1/chat/completions", "api_key": KEY}
    assert problems(online=True, model="test-model", **own) == []
    assert problems(online=True, model="other", **own) == [("model", "warning")]
    assert {request.path for request in server.requests} == {"/v1/models"}
    assert server.requests[0].headers["authorization"] == "Bearer canary-key"
    server.default = Status(401, "auth")
    assert problems(online=True, **own) == [("api_key", "error")]
    server.default = Silence()
    assert problems(online=True, timeout_s=0.2, **own) == [("base_url", "warning")]
    requests = len(server.requests)
    assert problems(online=True, base_url=server.url, api_key=Secret("a\nb")) == [("api_key", "error")]
    assert len(server.requests) == requests


def test_a_proxy_that_cannot_be_used_is_a_problem(monkeypatch):
    """For addresses with TLS."""
    monkeypatch.setenv("HTTPS_PROXY", "ftp://proxy.example")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert problems(api_key=KEY) == [("", "error")]
    assert problems(preset="llama-cpp") == []


@pytest.mark.parametrize("mode", MODES)
def test_no_variable_redirects_requests(mode, server, provide, monkeypatch):
    """The vendor's client reads an address, an organisation and a key from the environment; this plugin does not."""
    with FaultServer(ChatWire()) as elsewhere:
        for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "GROQ_BASE_URL", "MISTRAL_SERVER_URL"):
            monkeypatch.setenv(name, elsewhere.url)
        for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
            monkeypatch.setenv(name, "canary-of-the-environment")
        assert call(provide(), mode).text == "pong"
        assert OpenAISettings().address == "https://api.openai.com/v1"
        assert elsewhere.accepted_connections == 0
    assert "canary" not in str(server.requests[0].headers)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({}, None),
        ({"preset": "llama-cpp"}, None),
        ({"api_key": {"env": "GROQ_API_KEY"}}, "key-of-groq"),
        ({"preset": "groq", "api_key": {"env": "OWN_KEY"}}, "own-key"),
    ],
)
@pytest.mark.parametrize("instance", ["openai", "club"])
def test_a_key_of_the_environment_goes_to_its_service_only(instance, table, key, server, tmp_path):
    """An address in a file gets the key that the file names, and no other."""
    lines = [f"[providers.{instance}]", 'kind = "openai"', f'base_url = "{server.url}"', 'model = "m"']
    for name, value in table.items():
        lines.append(f'{name} = {{ env = "{value["env"]}" }}' if isinstance(value, dict) else f'{name} = "{value}"')
    file = tmp_path / "kickai.toml"
    file.write_text("\n".join(lines))
    env = {"OPENAI_API_KEY": "key-of-openai", "GROQ_API_KEY": "key-of-groq", "OWN_KEY": "own-key"}
    with Resolver.from_settings(file, env=env) as resolver:
        assert resolver.chain(instance).invoke("ping").text == "pong"
    assert server.requests[0].headers.get("authorization") == (f"Bearer {key}" if key else None)


@pytest.mark.parametrize("name", [name for name, row in PRESETS.items() if row.key_variable])
def test_a_preset_reads_its_variable(name, tmp_path):
    """Two lines of settings are enough."""
    variable = PRESETS[name].key_variable
    file = tmp_path / "kickai.toml"
    file.write_text(f'[providers.mine]\nkind = "openai"\npreset = "{name}"')
    with Resolver.from_settings(file, env={variable: "the-key", "OTHER_KEY": "x"}) as resolver:
        settings = resolver.registry.find("mine").settings
    assert (settings.api_key, settings.address) == (Secret("the-key"), PRESETS[name].base_url)
    assert [p for p in checks.find_settings_problems(settings) if p.severity == "error"] == []


@pytest.mark.parametrize("mode", MODES)
def test_redirects_are_not_followed(mode, server, provide):
    """The other address gets neither the request nor the key."""
    with FaultServer(ChatWire()) as elsewhere:
        server.script(Redirect(f"{elsewhere.url}/v1/chat/completions", 307))
        assert "redirects" in str(call(provide(), mode).error)
        assert elsewhere.accepted_connections == 0


def test_no_client_is_imported_before_it_is_used():
    """Neither for the description, nor for offline checks."""
    program = (
        "import sys; from kickai_openai.plugin import plugin; from kickai_openai.settings import OpenAISettings; "
        "info = plugin.kickai_provider_info(); "
        "plugin.kickai_validate_provider(settings=OpenAISettings(preset='llama-cpp'), online=False); "
        "print(sorted({'httpx', 'httpx2', 'httpcore2', 'openai', 'anyio'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_the_plugin_is_small():
    """What every such plugin needs is in the toolkit."""
    folder = Path(mapping.__file__).parent
    sizes = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in folder.glob("*.py")}
    assert sum(size for name, size in sizes.items() if name != "presets.py") <= 350
