"""Where requests go, and which token may go where."""

from __future__ import annotations

import pytest
from kickai_providers_core import Secret

from kickai_hf import checks, endpoints
from kickai_hf.models import DEFAULT_MODEL
from kickai_hf.settings import HuggingFaceSettings

TOKEN = Secret("hf_abc")
OTHER = Secret("hf_other")


def errors(**settings):
    """Return the paths of the problems that keep settings from being used."""
    return [p.path for p in checks.find_settings_problems(HuggingFaceSettings(**settings)) if p.severity == "error"]


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
def test_chat_is_found_below_a_base_address(base_url, url):
    """A base address may be given with or without /v1, or as the whole path; its query stays."""
    assert endpoints.inference_endpoint(HuggingFaceSettings(base_url=base_url)).url == url


def test_text_generation_is_posted_to_the_address_itself():
    """A server that completes text is asked at exactly the address that is given."""
    settings = HuggingFaceSettings(base_url="http://h/generate", task="text_generation")
    assert endpoints.inference_endpoint(settings).url == "http://h/generate"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"token": TOKEN}, TOKEN),
        ({"hub_token": TOKEN}, TOKEN),
        ({"token": TOKEN, "hub_token": OTHER}, TOKEN),
        ({"token": Secret(""), "hub_token": OTHER}, OTHER),
    ],
)
def test_the_router_gets_the_instances_token_or_else_the_environments(given, sent):
    """On the router the token that was named for the instance comes first."""
    assert endpoints.inference_endpoint(HuggingFaceSettings(**given)).token == sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, None),
        ({"hub_token": OTHER}, None),
        ({"token": Secret(""), "hub_token": OTHER}, None),
        ({"token": TOKEN, "hub_token": OTHER}, TOKEN),
    ],
)
def test_a_base_address_gets_no_token_but_its_own(given, sent):
    """What the environment holds never goes to a base address."""
    assert endpoints.inference_endpoint(HuggingFaceSettings(base_url="https://h", **given)).token == sent


def test_the_hub_does_not_get_the_token_of_a_base_address():
    """A token that is meant for a server of one's own is not shown to the Hub."""
    settings = HuggingFaceSettings(base_url="https://h", token=TOKEN, hub_token=OTHER)
    assert endpoints.hub_endpoint(settings).token == OTHER


def test_whoever_pays_is_told_to_the_router_alone():
    """The header for billing goes to the router."""
    billed = endpoints.inference_endpoint(HuggingFaceSettings(token=TOKEN, bill_to="club"))
    assert billed.headers["x-hf-bill-to"].reveal() == "club"
    assert (
        "x-hf-bill-to"
        not in endpoints.inference_endpoint(HuggingFaceSettings(base_url="https://h", bill_to="club")).headers
    )


def test_a_missing_token_is_told_with_its_variable():
    """Without a token the router cannot be asked, and the problem names the variable to set."""
    (problem,) = checks.find_settings_problems(HuggingFaceSettings())
    assert (problem.path, problem.missing) == ("token", "HUGGINGFACE_API_TOKEN")


def test_a_server_of_ones_own_needs_no_token():
    """At a base address no token is needed."""
    assert errors(base_url="http://127.0.0.1:8080") == []


def test_another_vendors_key_is_not_sent_to_the_router():
    """A key that is none of Hugging Face's stays here."""
    assert errors(token=Secret("sk-abc")) == ["token"]
    assert errors(hub_token=Secret("sk-abc")) == ["hub_token"]


@pytest.mark.parametrize("host", ["example.org", "10.0.0.7", "0.0.0.0", "localhost.example.org", "127.0.0.1.nip.io"])  # noqa: S104
@pytest.mark.parametrize("scheme", ["http", "HTTP"])
@pytest.mark.parametrize("secret", [{"token": TOKEN}, {"headers": {"x-key": "k"}}])
def test_secrets_do_not_cross_a_network_in_the_clear(host, scheme, secret):
    """Without TLS a token or a header goes to no other machine, unless a setting says so."""
    url = f"{scheme}://{host}:8080/v1"
    assert errors(base_url=url, **secret) == ["base_url"]
    assert errors(base_url=url, allow_plain_http=True, **secret) == []
    assert errors(base_url=url) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_needs_no_tls(host):
    """What cannot leave the machine needs no TLS."""
    assert errors(base_url=f"http://{host}:8080", token=TOKEN) == []


def test_the_hubs_address_is_held_to_the_same():
    """The token goes to no Hub without TLS either."""
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
def test_what_is_no_address_is_told(url):
    """An address that two readers could understand differently is refused."""
    assert "base_url" in errors(base_url=url)


@pytest.mark.parametrize("token", ["hf_abc\n", " hf_abc", "hf_ä", "hf_a\x00b"])
def test_a_token_that_no_header_can_carry_is_told(token):
    """A token with a line break or a blank at its end was copied wrong; the problem does not repeat it."""
    problems = list(checks.find_settings_problems(HuggingFaceSettings(token=Secret(token))))
    assert "token" in [problem.path for problem in problems]
    assert token.strip() not in str(problems)


def test_headers_that_cannot_be_sent_are_told():
    """A header has a name and a value that HTTP knows, and does not contradict the token."""
    assert errors(base_url="https://h", headers={"x y": "1"}) == ["headers.x y"]
    assert errors(base_url="https://h", headers={"x": "1\r\ny: 2"}) == ["headers.x"]
    assert errors(base_url="https://h", token=TOKEN, headers={"Authorization": "Basic x"}) == ["headers.Authorization"]
    assert errors(base_url="https://h", headers={"Authorization": "Basic x"}) == []


def test_what_has_no_effect_is_warned_of():
    """Settings of the router beside a base address are told, and keep nothing from being used."""
    settings = HuggingFaceSettings(base_url="https://h", inference_provider="novita", bill_to="club")
    assert [(p.path, p.severity) for p in checks.find_settings_problems(settings)] == [
        ("inference_provider", "warning"),
        ("bill_to", "warning"),
    ]


def test_text_generation_needs_an_address():
    """The router serves chat only."""
    assert errors(token=TOKEN, task="text_generation") == ["task"]


def test_only_the_router_has_a_default_model():
    """At a base address the server's own model answers."""
    assert HuggingFaceSettings().model == DEFAULT_MODEL
    assert HuggingFaceSettings(base_url="http://h").model is None
    assert HuggingFaceSettings(base_url="http://h", model="m").model == "m"


def test_values_of_headers_are_hidden():
    """A header may hold a key: its value is in no repr."""
    settings = HuggingFaceSettings(base_url="https://h", headers={"x-api-key": "canary", "x-two": Secret("canary")})
    assert "canary" not in repr(settings)
    assert "canary" not in repr(endpoints.inference_endpoint(settings))
