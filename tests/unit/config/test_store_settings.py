"""The table ``[store]``."""

from __future__ import annotations

import pytest
from known_plugins import INFOS

from kickai_providers_core import Settings
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.sources import read
from kickai_providers_core.config.store_settings import StoreSettings
from kickai_providers_core.values.secrets import Secret


def load(folder, text, env=None, **options):
    """Return the settings of a file in a folder."""
    (folder / "kickai.toml").write_text(text, encoding="utf-8")
    return structure(read(None, env or {}, folder=folder, **options), INFOS)


def test_there_is_no_store_by_default(tmp_path):
    """Neither in code nor in a file without the table."""
    assert Settings().store == load(tmp_path, "").store == StoreSettings()
    assert StoreSettings().address is None


def test_a_relative_path_starts_at_the_folder_of_the_settings_file(tmp_path):
    """The working directory does not matter."""
    below = tmp_path / "deep" / "down"
    below.mkdir(parents=True)
    (tmp_path / "kickai.toml").write_text('[store]\nurl = "sqlite:///data/kickai.db"\n', encoding="utf-8")
    store = structure(read(None, {}, folder=below), INFOS).store
    assert store.url is not None
    assert store.url.reveal() == f"sqlite:///{tmp_path}/data/kickai.db"


def test_an_absolute_path_stays(tmp_path):
    """It has four slashes."""
    store = load(tmp_path, '[store]\nurl = "sqlite:////var/lib/kickai.db"\nkeep_days = 7\n').store
    assert store == StoreSettings(url=Secret("sqlite:////var/lib/kickai.db"), keep_days=7)


def test_the_variable_replaces_the_file(tmp_path):
    """``KICKAI_STORE`` is the url."""
    found = load(tmp_path, '[store]\nurl = "sqlite:///kickai.db"\nnamespace = "n"\n', {"KICKAI_STORE": "memory:"})
    assert found.store == StoreSettings(url=Secret("memory:"), namespace="n")
    assert found.source_of("store.url") == "environment KICKAI_STORE"


def test_the_url_can_be_a_reference(tmp_path):
    """A password does not have to be in the file, and no repr shows it."""
    text = '[store]\nurl = { env = "MINE" }\nnamespace = "app"\n'
    found = load(tmp_path, text, {"MINE": "redis://user:canary@example.org:7/2?ssl=canary"})
    assert found.store.address is not None
    assert found.store.address.location == "redis://example.org:7/2"
    assert "canary" not in repr(found) + repr(found.store) + repr(found.store.address)


def test_a_url_in_code_is_a_secret():
    """Text would be shown by a repr."""
    with pytest.raises(TypeError, match="url must be a Secret or None"):
        StoreSettings(url="memory:")  # type: ignore[arg-type]
