"""The addresses of stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from kickai_providers_core.stores.urls import StoreUrl


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///kickai.db", "/home/me/kickai.db"),
        ("sqlite:///data/my file?.db", "/home/me/data/my file?.db"),
        ("sqlite:////var/lib/kickai.db", "/var/lib/kickai.db"),
        (" SQLITE:///../kickai.db ", "/home/me/../kickai.db"),
    ],
)
def test_the_path_of_a_file(text, path):
    """It starts at the folder unless it is absolute."""
    address = StoreUrl.parse(text)
    assert (address.scheme, address.is_remote) == ("sqlite", False)
    assert address.find_path(Path("/home/me")) == Path(path)
    assert address.location == text.strip()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the address of a store"),
        ("kickai.db", "the address of a store"),
        ("memory:x", "without anything after it"),
        ("sqlite:kickai.db", "must begin with sqlite:///"),
        ("sqlite://kickai.db", "must begin with sqlite:///"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///folder/", "must name a file"),
        ("sqlite:///..", "must name a file"),
        ("sqlite:///:memory:", "must be memory:"),
        ("sqlite:///a\nb", "control characters"),
        ("redis:", "must have a host"),
        ("redis://", "must have a host"),
        ("redis:localhost", "must have a host"),
        ("redis://user:canary@host:canary", "must have a host"),
        ("redis://[canary", "must have a host"),
        ("redis://host,canary:x", "must have a host"),
        ("redis://host:1,,canary", "must have a host"),
        ("redis://host:0", "must have a host"),
    ],
)
def test_a_wrong_address(text, message):
    """The message says what is wrong and quotes nothing."""
    with pytest.raises(ValueError, match=message) as caught:
        StoreUrl.parse(text)
    assert "canary" not in str(caught.value)


def test_credentials_are_hidden():
    """In the repr, the location, and in messages of a client, which may have decoded them."""
    address = StoreUrl.parse("rediss://user%40x:can%3Aary@Example.org/3?password=hidden#tail")
    assert address.location == "rediss://example.org/3"
    assert "ary" not in repr(address)
    message = address.redact(f"cannot reach {address.text}: can:ary for user@x, can%3Aary, password=hidden, tail")
    assert message == "cannot reach rediss://example.org/3: *** for ***, ***, ***, ***"
    assert StoreUrl.parse("memory:").redact("x") == "x"


def test_several_hosts():
    """They are separated by commas, with or without ports; a password is not one of them."""
    address = StoreUrl.parse("redis+sentinel://user:can,ary@One:26379,two,[::1]:7/main/0?x=canary")
    assert address.hosts == (("one", 26379), ("two", None), ("::1", 7))
    assert address.location == "redis+sentinel://one:26379,two,[::1]:7/main/0"
    assert StoreUrl.parse("redis+unix:///run/redis.sock").hosts == ()
    assert StoreUrl.parse("redis+unix://:canary@/run/redis.sock").location == "redis+unix:///run/redis.sock"
