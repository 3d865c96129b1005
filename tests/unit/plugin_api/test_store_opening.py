"""Opening stores by their addresses, with the stores of plugins."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest

from kickai_providers_core.plugin_api.discovery import discover
from kickai_providers_core.plugin_api.hookspecs import hookimpl
from kickai_providers_core.plugin_api.store_opening import open_store
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.values.secrets import Secret

URL = "redis://user:canary@example.org:6379/0"


def plugin(function):
    """Return a plugin whose only hook opens stores."""
    return SimpleNamespace(kickai_open_store=hookimpl(function))


def test_the_built_in_stores(tmp_path):
    """Memory, and a file below the folder."""
    assert isinstance(open_store("memory:"), MemoryStore)
    store = open_store(Secret("sqlite:///kickai.db"), folder=tmp_path)
    assert isinstance(store, SqliteStore)
    store.close()
    assert repr(store) == f"SqliteStore('{tmp_path}/kickai.db')"
    assert not (tmp_path / "kickai.db").exists()
    assert repr(open_store("sqlite:///x.db")) == f"SqliteStore('{Path.cwd()}/x.db')"


def test_a_plugin_opens_its_scheme():
    """It may leave out the namespace, and the first store counts."""
    opened = []

    def open_mine(url):
        opened.append(url)
        return MemoryStore() if url.startswith("redis:") else None

    def open_other(url, namespace):
        opened.append(namespace)

    plugins = discover((), given={"mine": plugin(open_mine), "other": plugin(open_other)}).stores()
    assert set(plugins) == {"mine", "other"}
    assert isinstance(open_store(URL, namespace="app", plugins=plugins), MemoryStore)
    assert opened in ([URL], ["app", URL])
    with pytest.raises(StoreError, match="no installed plugin opens stores at etcd://: install the plugin"):
        open_store("etcd://host", namespace="app", plugins=plugins)


def test_no_plugin_opens_it():
    """The message names the package and shows no password."""
    with pytest.raises(StoreError) as caught:
        open_store(URL, namespace="app")
    assert (
        str(caught.value)
        == "no installed plugin opens stores at redis://: install kickai-redis (kickai providers --available shows how)"
    )
    with pytest.raises(StoreError, match="the url of the store must begin with sqlite:///"):
        open_store("sqlite:x")


def raise_store_error(url):
    """Raise an error for readers that quotes the address."""
    raise StoreError(f"{url} has no database canary")


def raise_value_error(url):
    """Raise another error that quotes the address."""
    raise ValueError(url)


def raise_exit(url):
    """End the process."""
    raise SystemExit(url)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (raise_store_error, "redis://example.org:6379/0 has no database ***"),
        (raise_value_error, "ValueError"),
        (raise_exit, "SystemExit"),
    ],
)
def test_a_plugin_that_fails_is_named_without_credentials(function, reason):
    """Not even the traceback has the address."""
    with pytest.raises(StoreError) as caught:
        open_store(Secret(URL), namespace="app", plugins={"mine": plugin(function)})
    assert str(caught.value) == f"mine cannot open the store redis://example.org:6379/0: {reason}"
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_a_plugin_must_return_a_store():
    """With all its parts."""
    with pytest.raises(StoreError, match="returned a store without metrics, documents, health, leases, check, close"):
        open_store(URL, namespace="app", plugins={"mine": plugin(lambda url: object())})
