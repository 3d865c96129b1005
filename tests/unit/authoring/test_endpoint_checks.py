"""The settings for an address, a key, headers and proxies are checked without a connection."""

from __future__ import annotations

import pytest

from kickai_providers_core import Secret
from kickai_providers_core.authoring import (
    Endpoint,
    address_problems,
    connection_problems,
    header_problems,
    is_private_network,
    plain_http_problems,
)

VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE")


@pytest.mark.parametrize(
    "url", ["https://api.example", "http://h:1/v1", "https://[::1]:8443/v1?version=2", "HTTPS://API.example/a/b"]
)
def test_an_address_is_accepted(url):
    """Scheme, host, port, path and query."""
    assert list(address_problems("base_url", url)) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://me:pw@h", "user or a password"),
        ("https://h@evil/v1", "user or a password"),
        ("ftp://h", "not an address"),
        ("api.example/v1", "not an address"),
        ("https://", "not an address"),
        ("https://h/a b", "not an address"),
        ("https://h\\evil", "not an address"),
        ("https://h:99999", "not an address"),
        ("https://h:0", "not an address"),
        ("https://[::1", "not an address"),
        ("https://[1:2]/", "not an address"),
        ("https://h/\n", "not an address"),
        ("https://hé", "not an address"),
    ],
)
def test_what_is_not_an_address_is_an_error(url, words):
    """The message does not repeat the value, which may hold a password."""
    (problem,) = address_problems("base_url", url)
    assert problem.path == "base_url"
    assert words in problem.message
    assert "pw" not in str(problem)


def test_keys_and_headers_must_be_sendable():
    """Each problem names its setting; an empty key is not a problem, and no value is shown."""
    keys = {"api_key": Secret("a\nb"), "other": Secret(""), "third": Secret("ok")}
    headers = {
        "x y": Secret("1"),
        "x-team": Secret("two\nlines"),
        "Authorization": Secret("Basic x"),
        "x-ok": Secret("1"),
    }
    problems = list(header_problems(keys, headers))
    paths = ["api_key", "headers.x y", "headers.x-team", "headers.Authorization"]
    assert [problem.path for problem in problems] == paths
    assert "it contradicts api_key" in problems[-1].message
    assert not any("two" in str(problem) for problem in problems)
    assert list(header_problems({}, {"Authorization": Secret("Basic x")})) == []


@pytest.mark.parametrize(
    ("url", "is_problem"),
    [
        ("https://h", False),
        ("http://127.0.0.2:1/v1", False),
        ("http://[::1]/v1", False),
        ("http://localhost:1", False),
        ("http://10.0.0.1", True),
        ("http://h", True),
        ("http://[1", True),
    ],
)
def test_secrets_do_not_cross_the_network_in_the_clear(url, is_problem):
    """Unless the setting allows it, or there is nothing to protect."""
    assert bool(list(plain_http_problems("base_url", url, has_secrets=True, is_allowed=False))) is is_problem
    assert list(plain_http_problems("base_url", url, has_secrets=True, is_allowed=True)) == []
    assert list(plain_http_problems("base_url", url, has_secrets=False, is_allowed=False)) == []


@pytest.mark.parametrize(
    ("url", "is_private"),
    [
        ("http://localhost:1234/v1", True),
        ("http://llm.localhost/v1", True),
        ("http://127.0.0.1", True),
        ("http://192.168.1.7:8000/v1", True),
        ("http://[fd00::1]:8000", True),
        ("https://api.example/v1", False),
        ("https://8.8.8.8/v1", False),
        ("http://[1", False),
    ],
)
def test_private_networks_are_recognised(url, is_private):
    """By the IP address, or by the names that always mean this machine."""
    assert is_private_network(url) is is_private


@pytest.mark.parametrize(
    ("value", "words"),
    [("https://proxy.example:1", "the scheme https are not supported"), ("ftp://proxy.example", "HTTPS_PROXY")],
)
def test_a_proxy_that_cannot_be_used_is_named(value, words, monkeypatch):
    """Only for addresses with TLS, since no other request goes through a proxy."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert list(connection_problems("https://api.example")) == []
    monkeypatch.setenv("HTTPS_PROXY", value)
    (problem,) = connection_problems("https://api.example")
    assert words in str(problem)
    assert list(connection_problems("http://api.example")) == []


def test_an_endpoint_reveals_secrets_in_headers_only():
    """Its repr shows none; a header of the settings replaces one of the same name."""
    endpoint = Endpoint(url="HTTPS://h", key=Secret("canary"), headers={"X-Team": Secret("reds"), "x-none": Secret("")})
    assert endpoint.reveal_headers() == {"x-team": "reds", "x-none": "", "authorization": "Bearer canary"}
    assert endpoint.secrets == ("reds", "canary")
    assert endpoint.is_secure
    assert "canary" not in repr(endpoint)
    assert "reds" not in repr(endpoint)
    assert Endpoint(url="http://h", key=Secret("")).reveal_headers() == {}
