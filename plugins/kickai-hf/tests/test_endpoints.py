"""The addresses of requests, and the tokens that may go there."""

from __future__ import annotations

import pytest
from kickai_providers_core import Secret

from kickai_hf import endpoints, offline_checks
from kickai_hf.capabilities import DEFAULT_MODEL
from kickai_hf.settings import HuggingFaceSettings

TOKEN = Secret("hf_abc")
OTHER = Secret("hf_other")


def errors(**settings):
    """Return the paths of the errors in settings."""
    return [
        p.path for p in offline_checks.find_settings_problems(HuggingFaceSettings(**settings)) if p.severity == "error"
    ]


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://h:1", "http://h:1/v1/chat/completions"),
        ("http://h:1/", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
        ("https://h/api", "https://h/api/v1/chat/completions"),
        ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
        ("https://h/v1?version=2", "https://h/v1/chat/completions?version=2"),
    ],
)
def test_the_address_of_chat_is_derived_from_base_url(base_url, url):
    """``base_url`` may end with or without ``/v1``, or with the whole path; its query is kept."""
    assert endpoints.build_inference_endpoint(HuggingFaceSettings(base_url=base_url)).url == url


def test_text_generation_is_posted_to_base_url_itself():
    """Nothing is appended to the address of a server that completes text."""
    settings = HuggingFaceSettings(base_url="http://h/generate", task="text_generation")
    assert endpoints.build_inference_endpoint(settings).url == "http://h/generate"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"token": TOKEN}, TOKEN),
        ({"hub_token": TOKEN}, TOKEN),
        ({"token": TOKEN, "hub_token": OTHER}, TOKEN),
        ({"token": Secret(""), "hub_token": OTHER}, OTHER),
    ],
)
def test_the_router_gets_token_or_else_hub_token(given, sent):
    """The token in the settings of the instance comes first."""
    assert endpoints.build_inference_endpoint(HuggingFaceSettings(**given)).key == sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, None),
        ({"hub_token": OTHER}, None),
        ({"token": Secret(""), "hub_token": OTHER}, None),
        ({"token": TOKEN, "hub_token": OTHER}, TOKEN),
    ],
)
def test_base_url_gets_no_other_token_than_its_own(given, sent):
    """A token from the environment never goes to a ``base_url``."""
    assert endpoints.build_inference_endpoint(HuggingFaceSettings(base_url="https://h", **given)).key == sent


def test_the_hub_does_not_get_the_token_for_base_url():
    """The Hub gets ``hub_token`` only."""
    settings = HuggingFaceSettings(base_url="https://h", token=TOKEN, hub_token=OTHER)
    assert endpoints.build_hub_endpoint(settings).key == OTHER


def test_only_the_router_gets_the_billing_header():
    """A ``base_url`` gets no header for billing."""
    billed = endpoints.build_inference_endpoint(HuggingFaceSettings(token=TOKEN, bill_to="club"))
    assert billed.headers["x-hf-bill-to"].reveal() == "club"
    assert (
        "x-hf-bill-to"
        not in endpoints.build_inference_endpoint(HuggingFaceSettings(base_url="https://h", bill_to="club")).headers
    )


def test_a_missing_token_is_a_problem():
    """The problem names the environment variable to set."""
    (problem,) = offline_checks.find_settings_problems(HuggingFaceSettings())
    assert (problem.path, problem.missing) == ("token", "HUGGINGFACE_API_TOKEN")


def test_base_url_needs_no_token():
    """A ``base_url`` may be used without a token."""
    assert errors(base_url="http://127.0.0.1:8080") == []


def test_another_vendors_key_is_not_sent_to_the_router():
    """A key that does not look like a Hugging Face token is a problem."""
    assert errors(token=Secret("sk-abc")) == ["token"]
    assert errors(hub_token=Secret("sk-abc")) == ["hub_token"]


@pytest.mark.parametrize("host", ["example.org", "10.0.0.7", "0.0.0.0", "localhost.example.org", "127.0.0.1.nip.io"])  # noqa: S104
@pytest.mark.parametrize("scheme", ["http", "HTTP"])
@pytest.mark.parametrize("secret", [{"token": TOKEN}, {"headers": {"x-key": "k"}}])
def test_secrets_are_not_sent_unencrypted(host, scheme, secret):
    """Without TLS no token or header goes to another machine, unless ``allow_plain_http`` is set."""
    url = f"{scheme}://{host}:8080/v1"
    assert errors(base_url=url, **secret) == ["base_url"]
    assert errors(base_url=url, allow_plain_http=True, **secret) == []
    assert errors(base_url=url) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_needs_no_tls(host):
    """Requests to loopback do not leave the machine."""
    assert errors(base_url=f"http://{host}:8080", token=TOKEN) == []


def test_the_hub_needs_tls():
    """The same rule holds for ``hub_url``."""
    assert errors(token=TOKEN, hub_url="http://hub.example.org") == ["hub_url"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "ftp://h",
        "http://",
        "http:///v1",
        "http://[::1",
        "http://h:port",
        "http://h v1",
        "http://127.0.0.1\\@example.org",
        "http://127.0.0.1#@example.org",
        "http://user:key@h/v1",
        "https://h/\n",
        "http://hä",
    ],
)
def test_an_invalid_address_is_a_problem(url):
    """An address that parsers may read differently is rejected."""
    assert "base_url" in errors(base_url=url)


@pytest.mark.parametrize("token", ["hf_abc\n", " hf_abc", "hf_ä", "hf_a\x00b"])
def test_a_token_with_invalid_characters_is_a_problem(token):
    """A token with a line break or a blank at its end was copied wrongly. The problem does not repeat it."""
    problems = list(offline_checks.find_settings_problems(HuggingFaceSettings(token=Secret(token))))
    assert "token" in [problem.path for problem in problems]
    assert token.strip() not in str(problems)


def test_an_invalid_header_is_a_problem():
    """Name and value must be valid in HTTP, and must not contradict ``token``."""
    assert errors(base_url="https://h", headers={"x y": "1"}) == ["headers.x y"]
    assert errors(base_url="https://h", headers={"x": "1\r\ny: 2"}) == ["headers.x"]
    assert errors(base_url="https://h", token=TOKEN, headers={"Authorization": "Basic x"}) == ["headers.Authorization"]
    assert errors(base_url="https://h", headers={"Authorization": "Basic x"}) == []


def test_a_setting_without_effect_is_a_warning():
    """Settings of the router have no effect together with ``base_url``."""
    settings = HuggingFaceSettings(base_url="https://h", inference_provider="novita", bill_to="club")
    assert [(p.path, p.severity) for p in offline_checks.find_settings_problems(settings)] == [
        ("inference_provider", "warning"),
        ("bill_to", "warning"),
    ]


def test_text_generation_needs_base_url():
    """The router serves chat only."""
    assert errors(token=TOKEN, task="text_generation") == ["task"]


def test_only_the_router_has_a_default_model():
    """At a ``base_url`` the default is the model of the server."""
    assert HuggingFaceSettings().model == DEFAULT_MODEL
    assert HuggingFaceSettings(base_url="http://h").model is None
    assert HuggingFaceSettings(base_url="http://h", model="m").model == "m"


def test_values_of_headers_are_hidden():
    """A header may contain a key, so its value is in no repr."""
    settings = HuggingFaceSettings(base_url="https://h", headers={"x-api-key": "canary", "x-two": Secret("canary")})
    assert "canary" not in repr(settings)
    assert "canary" not in repr(endpoints.build_inference_endpoint(settings))
