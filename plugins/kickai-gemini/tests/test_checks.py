"""Problems of settings."""

from __future__ import annotations

from datetime import date

import attrs
import pytest
from conftest import KEY
from kickai_providers_core import Secret
from kickai_providers_core.testing.faults import Ok, Silence, Status

from kickai_gemini import sdk as sdks
from kickai_gemini.checks import find_problems
from kickai_gemini.sdk import choose_sdk
from kickai_gemini.settings import GeminiSettings

TODAY = date(2026, 11, 23)
READY = GeminiSettings(api_key=KEY)


def problems(settings=READY, *, online=False, **changes):
    """Return the problems of settings."""
    return list(find_problems(attrs.evolve(settings, **changes), TODAY, online=online))


def test_valid_settings_have_no_problem():
    """The defaults only need a key."""
    assert problems() == []


def test_missing_key_is_a_problem():
    """Without a key the instance is not configured, and the problem says where to get one."""
    (problem,) = problems(api_key=Secret(""))
    assert (problem.path, problem.missing, problem.severity) == ("api_key", "GOOGLE_API_KEY", "error")
    assert "aistudio.google.com" in problem.hint


@pytest.mark.parametrize("key", ["AIza key", "AIza\n", "AIzaé"])
def test_key_with_invalid_characters_is_a_problem(key):
    """A key with a space, a line end or an accent is a problem, and is not repeated."""
    (problem,) = problems(api_key=Secret(key))
    assert problem.path == "api_key"
    assert "AIza" not in str(problem)


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [
        ("auto", {"google-genai", "google-generativeai"}, "google-genai"),
        ("auto", {"google-generativeai"}, "google-generativeai"),
        ("auto", set(), None),
        ("google-genai", {"google-generativeai"}, None),
        ("google-generativeai", {"google-genai", "google-generativeai"}, "google-generativeai"),
        ("google-generativeai", {"google-genai"}, None),
    ],
)
def test_client_is_chosen(wanted, there, chosen):
    """``auto`` prefers google-genai; a setting forces either client."""
    assert choose_sdk(wanted, there.__contains__) == chosen


@pytest.mark.parametrize(
    ("wanted", "module", "command"),
    [
        ("google-genai", "google.genai", "pip install 'kickai-gemini[genai]'"),
        ("google-generativeai", "google.generativeai", "pip install google-generativeai"),
    ],
)
def test_missing_client_is_a_problem(monkeypatch, wanted, module, command):
    """A forced client that is not installed is a problem with the command that installs it."""
    monkeypatch.setitem(sdks.MODULES, wanted, f"{module}_that_is_not_installed")
    (problem,) = problems(client=wanted)
    assert (problem.path, problem.missing) == ("client", wanted)
    assert command in problem.hint


@pytest.mark.parametrize(("version", "usable"), [("1.65.0", False), ("2.34.0", False), ("3.0.0", True), ("10.1", True)])
def test_old_google_genai_counts_as_missing(monkeypatch, version, usable):
    """Versions of google-genai before 3 are not used."""
    monkeypatch.setattr(sdks, "find_spec", lambda _: object())
    monkeypatch.setattr(sdks.metadata, "version", lambda _: version)
    assert sdks.is_sdk_usable("google-genai") is usable


def test_unencrypted_remote_address_is_a_problem():
    """Plain HTTP is allowed to this machine only."""
    assert problems(base_url="http://127.0.0.1:8080") == []
    assert problems(base_url="http://localhost:8080") == []
    (problem,) = problems(base_url="http://proxy.example")
    assert (problem.path, problem.severity) == ("base_url", "error")


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://x/v1beta", "https://u:p@x", "https://x?a=b", "x"])
def test_address_is_a_scheme_and_a_host(url):
    """A path, a query or credentials in the address are errors when the settings are read."""
    with pytest.raises(ValueError, match="base_url"):
        GeminiSettings(base_url=url)


def test_thinking_level_with_google_generativeai_is_a_warning():
    """google-generativeai cannot send a thinking level."""
    (problem,) = problems(client="google-generativeai", thinking_level="low")
    assert (problem.path, problem.severity) == ("thinking_level", "warning")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gemini-1.5-flash", "gemini-1.5-flash is retired; gemini-3.5-flash-lite is used instead"),
        ("gemini-2.5-pro", "gemini-2.5-pro will be retired on 2026-12-01; its successor is gemini-3.8-flash"),
    ],
)
def test_retired_model_is_a_warning(model, words):
    """A model that is retired, or soon will be, is a warning with the successor."""
    (problem,) = problems(model=model)
    assert (problem.path, problem.severity, problem.message) == ("model", "warning", words)


@pytest.fixture
def online(server, sdk):
    """Return a function that checks settings online, against the server."""
    return lambda **changes: problems(
        GeminiSettings(api_key=KEY, base_url=server.url, client=sdk), online=True, **changes
    )


def models(*names, method="generateContent"):
    """Return models as the service lists them."""
    return [{"name": f"models/{name}", "supportedGenerationMethods": [method, "countTokens"]} for name in names]


def test_online_check_lists_the_models(online, service, server):
    """The models of the key are listed, with the dates of retired ones."""
    names = ("gemini-3.5-flash-lite", "gemini-2.5-flash", "gemini-2.0-flash")
    service.models = [*models(*names), *models("embedding-001", method="embedContent")]
    (problem,) = online()
    assert problem.severity == "note"
    assert problem.message == (
        "the key may use gemini-2.0-flash (retired on 2026-06-01: use gemini-3.5-flash-lite), "
        "gemini-2.5-flash (until 2026-12-01: use gemini-3.5-flash-lite), gemini-3.5-flash-lite"
    )
    (sent,) = server.requests
    assert sent.path.startswith("/v1beta/models?")
    assert sent.headers["x-goog-api-key"] == KEY.reveal()
    assert KEY.reveal() not in sent.path


def test_online_check_finds_a_model_that_is_not_served(online, service):
    """A model that the key may not use is an error, unless its successor is served."""
    service.models = models("gemini-3.5-flash-lite")
    assert [each.severity for each in online(model="gemini-9-flash")] == ["error", "note"]
    assert {each.severity for each in online(model="gemini-1.5-flash")} == {"warning", "note"}


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        (Status(400, "auth"), "api_key"),
        (Status(403), "api_key"),
        (Status(503), "base_url"),
        (Silence(), "base_url"),
        (Ok(), "model"),
    ],
)
def test_online_check_reports_failures(online, server, fault, path):
    """A refused key, a service that is down or silent, and an empty list are problems that do not contain the key."""
    server.default = fault
    first, *_ = online(timeout_s=0.3 if isinstance(fault, Silence) else 60.0)
    assert (first.path, first.severity) == (path, "error")
    assert KEY.reveal() not in str(first)


def test_online_check_needs_valid_settings(online, server):
    """Nothing is sent when the settings have an error."""
    online(api_key=Secret(""))
    assert server.accepted_connections == 0
