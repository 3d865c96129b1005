"""Addresses of stores."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import asdict, fields
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.values.secrets import Secret

from kickai_redis import plugin
from kickai_redis.settings import OPTIONS, SCHEMES, VARIABLES, RedisSettings, Topology

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")

DEFAULTS = {field.name: field.default for field in fields(RedisSettings)}


def parse(url: str, **environ: str) -> RedisSettings:
    """Return the settings of an address."""
    return RedisSettings.from_url(url, environ)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://Example.org", {"hosts": (("example.org", 6379),)}),
        ("valkey://[::1]:7/3", {"hosts": (("::1", 7),), "db": 3}),
        (
            "rediss://h?ca_file=/a%20b&cert_file=c&key_file=d&timeout_s=1.5",
            {
                "hosts": (("h", 6379),),
                "is_encrypted": True,
                "ca_file": "/a b",
                "cert_file": "c",
                "key_file": "d",
                "timeout_s": 1.5,
            },
        ),
        ("valkeys://h/", {"hosts": (("h", 6379),), "is_encrypted": True}),
        ("redis+unix:///run/re%20dis.sock?db=2", {"topology": Topology.UNIX, "path": "/run/re dis.sock", "db": 2}),
        (
            "valkey+sentinel://a:1,b/main/4",
            {"topology": Topology.SENTINEL, "hosts": (("a", 1), ("b", 26379)), "service": "main", "db": 4},
        ),
        (
            "rediss+cluster://a,b:2/0",
            {"topology": Topology.CLUSTER, "hosts": (("a", 6379), ("b", 2)), "is_encrypted": True},
        ),
    ],
)
def test_an_address_has_its_parts(url, expected):
    """All that it does not say keeps its default."""
    found = {name: value for name, value in asdict(parse(url), recurse=False).items() if "login" not in name}
    location = url.partition("?")[0].replace("Example", "example")
    assert found == {name: DEFAULTS[name] for name in found} | expected | {"location": location}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://a,b", "several hosts need redis+sentinel:// or redis+cluster://"),
        ("redis://h/canary", "the number of the database must be a number"),
        ("redis://h/-1", "must be between 0 and"),
        ("redis://h/0/canary", "followed by nothing but the number of the database"),
        ("redis://h?password=canary", "unknown option (known: timeout_s, db, ca_file, cert_file, key_file)"),
        ("redis://h?db=1", "the number of the database follows the host"),
        ("redis://h?timeout_s=canary", "timeout_s must be a number"),
        ("redis://h?timeout_s=0", "must be between 0.001 and 60"),
        ("redis://h?timeout_s=nan", "timeout_s"),
        ("redis://h?timeout_s=1&timeout_s=2", "an option twice"),
        ("redis://h#canary", "must not contain '#'"),
        ("redis://h?ca_file=x", "need an encrypted connection"),
        ("redis+unix://canary/run/x.sock", "a Unix socket has no host"),
        ("redis+unix:///", "must have the path of a socket"),
        ("redis+sentinel://a:1,b", "must name the service"),
        ("redis+cluster://a/1", "a cluster has the database 0 only"),
        ("redis+cluster:///0", "must have a host"),
    ],
)
def test_a_wrong_address_is_explained(url, message):
    """The message says what to write instead, and shows nothing that may be secret."""
    with pytest.raises(StoreError) as caught:
        parse(url)
    assert message in str(caught.value)
    assert "canary" not in str(caught.value)


def test_credentials_of_the_address_come_first():
    """Those of the environment apply to an address without any."""
    environ = {"KICKAI_REDIS_USERNAME": "env", "KICKAI_REDIS_PASSWORD": "outer"}
    login = parse("redis://a%40b:c%3Ad@h", **environ).login
    assert (login.username, login.password) == ("a@b", Secret("c:d"))
    login = parse("redis://h", **environ).login
    assert (login.username, login.password) == ("env", Secret("outer"))
    assert parse("redis://:only@h", **environ).login.username == ""
    environ = {"KICKAI_REDIS_SENTINEL_USERNAME": "s", "KICKAI_REDIS_SENTINEL_PASSWORD": "t"}
    found = parse("redis+sentinel://u:p@h/main", **environ)
    assert found.sentinel_login.password == Secret("t")
    assert found.login.password == Secret("p")


def test_no_repr_shows_credentials():
    """Neither of the settings nor of the store."""
    url = "redis+sentinel://canary:canary2@h/main?timeout_s=1"
    environ = {"KICKAI_REDIS_SENTINEL_USERNAME": "canary3", "KICKAI_REDIS_SENTINEL_PASSWORD": "canary4"}
    assert "canary" not in repr(parse(url, **environ))
    assert repr(plugin.kickai_open_store(url, "mine")) == "RedisStore('redis+sentinel://h/main', namespace='mine')"


def test_other_addresses_are_left_to_other_plugins():
    """The plugin opens its own schemes, in any case of letters."""
    for url in ("heron://h", "redisx://h", "redis+other://h", "redis"):
        assert plugin.kickai_open_store(url, "n") is None
    assert all(plugin.kickai_open_store(f"{scheme.upper()}://{where}", "n") for scheme, where in examples())


def examples():
    """Return each scheme with the rest of an address."""
    rest = {Topology.UNIX: "/x.sock", Topology.SENTINEL: "h/main"}
    return [(scheme, rest.get(topology, "h")) for scheme, topology in SCHEMES.items()]


@pytest.mark.parametrize("namespace", ["", "a{b", "}"])
def test_a_namespace_must_be_one(namespace):
    """Without braces, which would spread the keys over a cluster."""
    with pytest.raises(StoreError, match="needs a namespace without braces"):
        plugin.kickai_open_store("redis://h", namespace)


def test_all_is_documented():
    """Each scheme's form, each option, and each variable."""
    for name in (*OPTIONS, *VARIABLES, *(f"redis+{each}" for each in Topology if each)):
        assert name in README
