"""The address of a server, as people write it."""

from __future__ import annotations

import pytest
from ollama._client import _parse_host

from kickai_ollama.address import Address

HOSTS = (
    "127.0.0.1",
    "localhost",
    "example.com",
    "1.2.3.4",
    "[0001:002:003:0004::1]",
    "[::1]",
    "0.0.0.0",  # noqa: S104  an address to call, not to listen on
    "a-b.example",
)
WRITTEN = [
    f"{scheme}{host}{port}{path}"
    for scheme in ("", "http://", "https://")
    for host in HOSTS
    for port in ("", ":56789")
    for path in ("", "/", "/path", "/path/", "/a/b")
] + ["", ":56789", "http://:56789"]


@pytest.mark.parametrize("text", WRITTEN)
def test_an_address_is_read_as_the_client_reads_it(text):
    """Whatever the ollama client takes for a host means the same server here, and the URL made of it as well."""
    url = Address.parse(text).url
    assert url == _parse_host(text)
    assert _parse_host(url) == url


def test_no_address_means_this_machine():
    """Without an address the server is the one of this machine, as for the client."""
    assert Address.parse(None).url == _parse_host(None) == "http://127.0.0.1:11434"


def test_space_around_an_address_does_not_matter():
    """Blanks before and after, as an environment variable may hold them, are left out."""
    assert Address.parse(" example.com:1 ").url == "http://example.com:1"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ftp://example.com", "http:// or https://"),
        ("unix:///run/ollama", "http:// or https://"),
        ("http://user:hunter2@example.com", "no user name or password"),
        ("example.com:port", "port"),
        ("example.com:99999", "[Pp]ort"),
        ("exa mple.com", "no host name"),
        ("http://[::1", "IPv6"),
        ("a..b", "no host name"),
    ],
)
def test_an_impossible_address_is_refused(text, complaint):
    """What can be no server's address is refused, in words that show no password."""
    with pytest.raises(ValueError, match=complaint) as caught:
        Address.parse(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "localhost", "127.0.0.5:1", "[::1]", "0.0.0.0", "[::]", "ollama.localhost"])  # noqa: S104
def test_this_machine_is_known(text):
    """Loopback addresses and names, and the addresses that a server listens on, are this machine."""
    address = Address.parse(text)
    assert address.on_this_machine
    assert not address.in_the_clear


@pytest.mark.parametrize("text", ["10.0.0.7", "example.com", "[2001:db8::1]", "localhost.example.com"])
def test_plain_http_to_another_machine_is_in_the_clear(text):
    """What is sent to another machine can be read on the way, unless it is sent over TLS."""
    assert Address.parse(text).in_the_clear
    assert not Address.parse(f"https://{text}").in_the_clear
