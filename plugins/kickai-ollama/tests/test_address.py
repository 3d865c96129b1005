"""The address of a server, in the forms that people write."""

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
def test_an_address_means_what_it_means_to_the_client(text):
    """Every host that the ollama client accepts means the same server here, and so does its URL."""
    url = Address.parse(text).url
    assert url == _parse_host(text)
    assert _parse_host(url) == url


def test_no_address_means_this_machine():
    """Without an address the server is on this machine, as for the client."""
    assert Address.parse(None).url == _parse_host(None) == "http://127.0.0.1:11434"


def test_spaces_around_an_address_are_ignored():
    """An environment variable may contain spaces before and after the address."""
    assert Address.parse(" example.com:1 ").url == "http://example.com:1"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ftp://example.com", "http:// or https://"),
        ("unix:///run/ollama", "http:// or https://"),
        ("http://user:hunter2@example.com", "must not contain a user name or password"),
        ("example.com:port", "port"),
        ("example.com:99999", "[Pp]ort"),
        ("exa mple.com", "not a valid host name"),
        ("http://[::1", "IPv6"),
        ("a..b", "not a valid host name"),
    ],
)
def test_an_invalid_address_is_rejected(text, complaint):
    """An invalid address is rejected, and the message does not contain a password."""
    with pytest.raises(ValueError, match=complaint) as caught:
        Address.parse(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "localhost", "127.0.0.5:1", "[::1]", "0.0.0.0", "[::]", "ollama.localhost"])  # noqa: S104
def test_an_address_of_this_machine_is_recognised(text):
    """Loopback addresses and names, and the addresses on which a server listens, are this machine."""
    address = Address.parse(text)
    assert address.is_this_machine
    assert not address.is_readable_by_others


@pytest.mark.parametrize("text", ["10.0.0.7", "example.com", "[2001:db8::1]", "localhost.example.com"])
def test_others_can_read_plain_http_to_another_machine(text):
    """Others can read what is sent to another machine, unless it is sent over TLS."""
    assert Address.parse(text).is_readable_by_others
    assert not Address.parse(f"https://{text}").is_readable_by_others
