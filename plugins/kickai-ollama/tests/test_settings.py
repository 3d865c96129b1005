"""What an instance can be told, and how it is read."""

from __future__ import annotations

import pytest
from attrs import evolve
from kickai_providers_core import Capability, ChainExhaustedError, ChatRequest, Resolver, Secret, UnusableProviderError

from kickai_ollama import checks
from kickai_ollama.client import OllamaProvider
from kickai_ollama.plugin import kickai_provider_capabilities
from kickai_ollama.settings import OllamaSettings


def test_defaults_are_patient_with_answers_and_not_with_connections():
    """The first call waits for the model to be loaded; a server that is there accepts at once."""
    settings = OllamaSettings()
    assert settings.timeout_s == settings.first_token_timeout_s == 120
    assert settings.connect_timeout_s == 2


@pytest.mark.parametrize("duration", ["5m", "1h30m", "-1", "0", "300", "1.5h", "250ms", "-5s"])
def test_keep_alive_takes_durations(duration):
    """Seconds and Go's durations are good."""
    assert OllamaSettings(keep_alive=duration).keep_alive == duration


@pytest.mark.parametrize("duration", ["", "five", "5 m", "5m ", "m5", "1d"])
def test_keep_alive_takes_nothing_else(duration):
    """What the server would refuse with each request is refused here, once."""
    with pytest.raises(ValueError, match="keep_alive"):
        OllamaSettings(keep_alive=duration)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_fits_no_header_is_refused_unseen(key):
    """A key with a character that no header may hold is refused, in words that do not show it."""
    with pytest.raises(ValueError, match="api_key") as caught:
        OllamaSettings(api_key=Secret(key))
    assert key not in str(caught.value)


def test_an_impossible_host_is_refused():
    """A host that cannot be one is refused when the settings are read."""
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
def test_a_key_is_sendable_unless_others_could_read_it(host, sent):
    """The key may go to this machine, and elsewhere over TLS alone."""
    assert bool(OllamaSettings(host=host, api_key=Secret("key")).sendable_key) is sent


def test_the_window_is_asked_for_and_options_have_the_last_word():
    """The window goes along as ``num_ctx``, and whole numbers stay whole."""
    assert OllamaSettings().extra_options() == {}
    assert OllamaSettings(context_window=4096).extra_options() == {"num_ctx": 4096}
    told = OllamaSettings(context_window=4096, options={"top_k": 40.0, "min_p": 0.5, "num_ctx": 512.0}).extra_options()
    assert told == {"num_ctx": 512, "top_k": 40, "min_p": 0.5}
    assert isinstance(told["top_k"], int)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_option_is_a_finite_number(number):
    """An option that JSON has no number for is an error of the settings that names it."""
    with pytest.raises(ValueError, match=r"options\.top_k must be a finite number"):
        OllamaSettings(options={"top_k": number})


@pytest.mark.parametrize(("names", "found"), [(None, None), ((), frozenset()), ((Capability.TOOLS,), {"tools"})])
def test_an_instance_can_do_what_its_settings_say(names, found):
    """The settings say what a server and its model can do; without a word it is unknown."""
    assert kickai_provider_capabilities(OllamaSettings(capabilities=names), None) == found


def test_capabilities_come_from_a_file():
    """A file names capabilities as text, and a target that lacks one is skipped before anything is sent."""
    table = {"providers": {"ollama": {"model": "m", "capabilities": ["tools"]}}}
    with Resolver.from_settings(table, env={}) as resolver:
        assert resolver.settings.providers["ollama"].capabilities == (Capability.TOOLS,)
        llm = resolver.chain("ollama")
        with pytest.raises(ChainExhaustedError) as caught:
            llm.invoke(evolve(ChatRequest.of("Who?"), json_schema={"type": "object"}))
    assert not caught.value.attempts


@pytest.mark.parametrize("variables", [{"SSL_CERT_FILE": "/nowhere/ca.pem"}, {"SSL_CERT_DIR": "/nowhere"}])
def test_certificates_that_cannot_be_read_are_found_offline(monkeypatch, variables):
    """A missing file of certificates is a problem of an instance that uses TLS, and of no other."""
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
