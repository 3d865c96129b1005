"""Variables for proxies and certificates, as people set them."""

from pathlib import Path

import pytest

from kickai_providers_core.authoring import network_problems, proxy_for, proxy_url, require_usable_network
from kickai_providers_core.values.errors import UnusableProviderError


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("proxy:3128", "http://proxy:3128"),
        ("127.0.0.1:3128", "http://127.0.0.1:3128"),
        ("[::1]:3128", "http://[::1]:3128"),
        ("proxy", "http://proxy"),
        (" HTTP://proxy:1/ ", "http://proxy:1/"),
        ("//proxy:1", "http://proxy:1"),
        ("https://u:p@proxy:1", "https://u:p@proxy:1"),
        ("socks5h://proxy", "socks5h://proxy"),
    ],
)
def test_addresses_of_proxies(value: str, url: str) -> None:
    """An address without a scheme means an HTTP proxy, as in curl."""
    assert proxy_url(value) == url


@pytest.mark.parametrize(
    "value",
    [
        "ftp://secret:1",
        "http://",
        "http://secret:port",
        "secret host:1",
        "http://secret:0",
        "http://[secret",
        "http://secret:99999",
    ],
)
def test_an_address_that_is_invalid(value: str) -> None:
    """It is refused without quoting it, and the variable is named."""
    with pytest.raises(ValueError, match=r"it|its") as caught:
        proxy_url(value)
    assert "secret" not in str(caught.value)
    with pytest.raises(UnusableProviderError, match="HTTPS_PROXY") as raised:
        proxy_for("https://x/", {"HTTPS_PROXY": value})
    assert "secret" not in str(raised.value)
    (problem,) = network_problems({"HTTPS_PROXY": value})
    assert problem.source == "HTTPS_PROXY"
    assert "secret" not in str(problem)


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://x/", {"HTTPS_PROXY": "p:1"}, "http://p:1"),
        ("https://x/", {"HTTP_PROXY": "p:1"}, None),
        ("http://x/", {"http_proxy": "p:1"}, "http://p:1"),
        ("https://x/", {"ALL_PROXY": "p:1"}, "http://p:1"),
        ("https://x/", {"ALL_PROXY": "p:1", "https_proxy": "q:1"}, "http://q:1"),
        ("https://x/", {"HTTPS_PROXY": "p:1", "https_proxy": "q:1"}, "http://q:1"),
        ("https://x/", {"HTTPS_PROXY": "p:1", "https_proxy": " "}, "http://p:1"),
        ("https://x/", {"HTTPS_PROXY": ""}, None),
        ("https://a.x/", {"HTTPS_PROXY": "p:1", "NO_PROXY": "x"}, None),
        ("https://x:8/", {"HTTPS_PROXY": "p:1", "no_proxy": "x:9"}, "http://p:1"),
        ("https://x/", {"HTTPS_PROXY": "p:1", "no_proxy": "*"}, None),
        ("https://x/", {}, None),
    ],
)
def test_the_proxy_for_an_address(url: str, environ: dict[str, str], proxy: str | None) -> None:
    """The proxy follows the scheme, lower case comes first, empty is unset, and no_proxy counts."""
    assert proxy_for(url, environ) == proxy


@pytest.mark.parametrize(
    ("environ", "source"),
    [
        ({"SSL_CERT_FILE": "/nowhere/ca.pem"}, "SSL_CERT_FILE"),
        ({"SSL_CERT_FILE": "/"}, "SSL_CERT_FILE"),
        ({"SSL_CERT_FILE": __file__}, "SSL_CERT_FILE"),
        ({"SSL_CERT_DIR": "/nowhere"}, "SSL_CERT_DIR"),
        ({"ALL_PROXY": "socks5://p:1"}, "ALL_PROXY"),
        ({"http_proxy": "://"}, "http_proxy"),
    ],
)
def test_problems(environ: dict[str, str], source: str) -> None:
    """Each names its variable, also in the short form and in the error that is raised."""
    (problem,) = network_problems(environ)
    assert problem.source == source
    assert source in problem.missing
    assert problem.hint
    with pytest.raises(UnusableProviderError, match=source):
        require_usable_network(environ)


@pytest.mark.parametrize(
    ("environ", "client", "count"),
    [
        ({"REQUESTS_CA_BUNDLE": "/nowhere"}, "httpx", 0),
        ({"REQUESTS_CA_BUNDLE": "/nowhere"}, "requests", 1),
        ({"REQUESTS_CA_BUNDLE": "/"}, "requests", 0),
        ({"CURL_CA_BUNDLE": "/nowhere"}, "requests", 1),
        ({"SSL_CERT_FILE": "/nowhere", "SSL_CERT_DIR": "/nowhere"}, "requests", 0),
        ({"SSL_CERT_FILE": "/nowhere", "HTTPS_PROXY": "://", "http_proxy": "://"}, "httpx", 3),
    ],
)
def test_each_client_has_its_variables(environ: dict[str, str], client: str, count: int) -> None:
    """Variables that a client does not read do not matter for it; all problems are found at once."""
    assert len(network_problems(environ, client=client)) == count


@pytest.mark.parametrize(
    ("url", "count"),
    [("https://x/", 2), ("http://x/", 0), ("https://local/", 1)],
)
def test_only_what_matters_for_an_address(url: str, count: int) -> None:
    """For one address, only the variables count that are used to reach it."""
    environ = {"HTTPS_PROXY": "://", "SSL_CERT_FILE": "/nowhere", "NO_PROXY": "local"}
    assert len(network_problems(environ, url=url)) == count


def test_a_usable_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no problems; by default the environment of the process is read."""
    assert network_problems({"SSL_CERT_DIR": str(tmp_path), "HTTPS_PROXY": "p:1", "SSL_CERT_FILE": " "}) == ()
    require_usable_network({})
    monkeypatch.setenv("HTTPS_PROXY", "://")
    assert network_problems()
    with pytest.raises(UnusableProviderError):
        proxy_for("https://x/")
