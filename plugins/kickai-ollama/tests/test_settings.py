"""The settings: defaults, validation, and what the core reads from them."""

from __future__ import annotations

import pytest
from attrs import evolve
from kickai_providers_core import Capability, ChainExhaustedError, ChatRequest, Resolver, Secret, UnusableProviderError

from kickai_ollama import checks
from kickai_ollama.client import OllamaProvider
from kickai_ollama.plugin import plugin
from kickai_ollama.settings import OllamaSettings


def test_default_timeouts_are_long_for_answers_and_short_for_connecting():
    """The first call loads the model; a running server accepts connections at once."""
    settings = OllamaSettings()
    assert settings.timeout_s == settings.first_token_timeout_s == 120
    assert settings.connect_timeout_s == 2


@pytest.mark.parametrize("duration", ["5m", "1h30m", "-1", "0", "300", "1.5h", "250ms", "-5s"])
def test_keep_alive_accepts_durations(duration):
    """Seconds and Go's durations are valid."""
    assert OllamaSettings(keep_alive=duration).keep_alive == duration


@pytest.mark.parametrize("duration", ["", "five", "5 m", "5m ", "m5", "1d"])
def test_keep_alive_rejects_anything_else(duration):
    """A value that the server would reject is rejected when the settings are read."""
    with pytest.raises(ValueError, match="keep_alive"):
        OllamaSettings(keep_alive=duration)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_is_not_valid_in_a_header_is_rejected(key):
    """The error of an invalid key does not contain the key."""
    with pytest.raises(ValueError, match="api_key") as caught:
        OllamaSettings(api_key=Secret(key))
    assert key not in str(caught.value)


def test_an_invalid_host_is_rejected():
    """An invalid host is rejected when the settings are read."""
    with pytest.raises(ValueError, match="http"):
        OllamaSettings(host="ftp://example.com")


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        (None, True),
        ("http://localhost:1", True),
        ("https://ollama.example", True),
        ("http://10.0.0.7", False),
        ("gpu-box", False),
    ],
)
def test_a_key_is_not_sent_where_others_can_read_it(host, sent):
    """The key is sent to this machine, and to other machines only over TLS."""
    assert bool(OllamaSettings(host=host, api_key=Secret("key")).sendable_key) is sent


def test_options_take_precedence_over_the_context_window():
    """The window is sent as ``num_ctx``, and whole numbers are sent as integers."""
    assert OllamaSettings().build_options() == {}
    assert OllamaSettings(context_window=4096).build_options() == {"num_ctx": 4096}
    options = OllamaSettings(
        context_window=4096, options={"top_k": 40.0, "min_p": 0.5, "num_ctx": 512.0}
    ).build_options()
    assert options == {"num_ctx": 512, "top_k": 40, "min_p": 0.5}
    assert isinstance(options["top_k"], int)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_option_must_be_finite(number):
    """NaN and infinity, which JSON does not have, are errors that name the option."""
    with pytest.raises(ValueError, match=r"options\.top_k must be a finite number"):
        OllamaSettings(options={"top_k": number})


@pytest.mark.parametrize(("names", "found"), [(None, None), ((), frozenset()), ((Capability.TOOLS,), {"tools"})])
def test_the_settings_decide_the_capabilities(names, found):
    """Without the setting, the capabilities of an unknown model are unknown."""
    assert plugin.kickai_provider_capabilities(OllamaSettings(capabilities=names), None) == found


def test_capabilities_come_from_a_file():
    """A file names capabilities as text; a target without a needed one is skipped, and nothing is sent."""
    table = {"providers": {"ollama": {"model": "m", "capabilities": ["tools"]}}}
    with Resolver.from_settings(table, env={}) as resolver:
        assert resolver.settings.providers["ollama"].capabilities == (Capability.TOOLS,)
        llm = resolver.chain("ollama")
        with pytest.raises(ChainExhaustedError) as caught:
            llm.invoke(evolve(ChatRequest.of("Who?"), json_schema={"type": "object"}))
    assert not caught.value.attempts


@pytest.mark.parametrize("variables", [{"SSL_CERT_FILE": "/nowhere/ca.pem"}, {"SSL_CERT_DIR": "/nowhere"}])
def test_unreadable_certificates_are_found_offline(monkeypatch, variables):
    """A missing certificate file is a problem only for an instance that uses TLS."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (problem,) = checks.find_offline_problems(OllamaSettings(host="https://ollama.com"))
    assert problem.source in variables
    assert not list(checks.find_offline_problems(OllamaSettings()))
    if "SSL_CERT_FILE" in variables:
        with pytest.raises(UnusableProviderError, match="SSL_CERT_FILE"):
            OllamaProvider(OllamaSettings(host="https://ollama.com"))
