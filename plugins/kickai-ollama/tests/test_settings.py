"""What an instance can be told, and how it is read."""

from __future__ import annotations

import pytest
from kickai_providers_core.secret import Secret

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
    assert OllamaSettings().extras() == {}
    assert OllamaSettings(context_window=4096).extras() == {"num_ctx": 4096}
    told = OllamaSettings(context_window=4096, options={"top_k": 40.0, "min_p": 0.5, "num_ctx": 512.0}).extras()
    assert told == {"num_ctx": 512, "top_k": 40, "min_p": 0.5}
    assert isinstance(told["top_k"], int)
