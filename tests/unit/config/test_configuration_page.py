"""The configuration page: its examples work, and its error messages are exact."""

from __future__ import annotations

import contextlib
import io
import re
import tomllib
from pathlib import Path

import pytest
from attrs import fields
from known_plugins import INFOS

from kickai_providers_core import ConfigError, KickaiSettings, Policy, ProviderSettings, Role, Secret, Settings
from kickai_providers_core.config.environment import CORE_VARIABLES
from kickai_providers_core.config.gateway_settings import GatewayKey, GatewaySettings
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.monitor_settings import MonitorSettings
from kickai_providers_core.config.price_settings import ModelPrice, PriceSettings
from kickai_providers_core.config.sources import read
from kickai_providers_core.config.store_settings import StoreSettings
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.guard_settings import GuardSettings
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.policy import Rule
from kickai_providers_core.resilience.rollout_settings import RolloutSettings
from kickai_providers_core.resilience.routing import Routing

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = [
    (kind, text, BLOCKS[at + 1][1] if at + 1 < len(BLOCKS) and BLOCKS[at + 1][0] == "text" else None)
    for at, (kind, text) in enumerate(BLOCKS)
    if kind != "text"
]


@pytest.mark.parametrize(("kind", "text", "output"), EXAMPLES)
def test_an_example_does_what_the_page_says(tmp_path, monkeypatch, kind, text, output):
    """Settings are valid or have the errors that follow them; code prints the output that follows it."""
    (tmp_path / "kickai.toml").write_text(text if kind == "toml" else "", encoding="utf-8")
    (tmp_path / "secrets").mkdir()
    for name in ("tgi.key", "hub.key"):
        (tmp_path / "secrets" / name).write_text("key")
    monkeypatch.chdir(tmp_path)
    if kind == "python":
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(text, "docs/configuration.md", "exec"), {})  # noqa: S102 # an example is there to be run
        assert printed.getvalue() == output
    elif output is None:
        assert isinstance(structure(read(None, {}), INFOS, keyring=_Keyring()), Settings)
    else:
        with pytest.raises(ConfigError) as caught:
            structure(read(None, {}), INFOS)
        assert str(caught.value) == output.rstrip("\n")


class _Keyring:
    """A keyring with a key for every name."""

    def get_password(self, service, username):
        """Return the key."""
        return "key"


def test_the_page_documents_every_setting():
    """Every key of every table, every variable and every role."""
    names = {
        field.name for cls in (KickaiSettings, ProviderSettings, Policy, Rule, BreakerSettings) for field in fields(cls)
    }
    names |= {field.name for field in fields(Role)} - {"name", "planned"}
    names |= {*CORE_VARIABLES, "KICKAI_CONFIG", *Settings().roles}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", PAGE)] == []


@pytest.mark.parametrize("name", Settings().roles)
def test_the_page_documents_the_built_in_catalogue(name):
    """Each role's row has the values of the catalogue."""
    role = Settings().roles[name]
    row = f"| {name} | {role.group} | {role.temperature} | {role.max_tokens} | {role.models['huggingface'][0]} |"
    assert row in PAGE


CLASSES = {
    "[kickai]": [KickaiSettings],
    "[providers.NAME]": [ProviderSettings],
    "[policy] and [breaker]": [Policy, BreakerSettings],
    "[routing]": [Routing],
    "[hedging]": [Hedging],
    "[rollout]": [RolloutSettings],
    "[rollout.guard]": [GuardSettings],
    "[monitor]": [MonitorSettings],
    "[store]": [StoreSettings],
    "[prices]": [PriceSettings],
    "[gateway]": [GatewaySettings],
    "[gateway.keys.NAME]": [GatewayKey],
    '[prices.models."MODEL"]': [ModelPrice],
}
"""The settings classes of each section of the page, by its heading."""

REQUIRED = {GatewayKey: {"hash": Secret(f"{'0' * 16}${'0' * 32}${'0' * 64}")}}
"""The fields without a default."""

DEFAULTS = {
    (section, field.name): getattr(default, field.name)
    for section, classes in CLASSES.items()
    for default in (cls(**REQUIRED.get(cls, {})) for cls in classes)
    for field in fields(type(default))
    if not isinstance(getattr(default, field.name), Rule | GuardSettings)
}
SECTIONS = re.findall(r"^##+ (.+?)\n(.*?)(?=^##)", PAGE + "## ", re.MULTILINE | re.DOTALL)
ROWS = [
    (heading.replace("`", ""), key, default)
    for heading, body in SECTIONS
    for key, default in re.findall(r"^\| `(\w+)` \| (`[^|]+`|none|all) \| ", body, re.MULTILINE)
]


@pytest.mark.parametrize(("section", "key", "default"), ROWS, ids=[f"{section}.{key}" for section, key, _ in ROWS])
def test_the_page_has_the_defaults(section, key, default):
    """Every default in a table of the page is that of the settings class."""
    expected = None if default in {"none", "all"} else tomllib.loads(f"default = {default.strip('`')}")["default"]
    actual = DEFAULTS[section, key]
    assert (list(actual) if isinstance(actual, tuple) else actual) == expected


def test_every_default_is_on_the_page():
    """The tables have every key, except for those whose default depends on something else."""
    described = {("[providers.NAME]", key) for key in ("kind", "model", "context_window", "expose_service_messages")}
    described |= {("[gateway.keys.NAME]", "hash")}
    assert {(section, key) for section, key, _ in ROWS} == {*DEFAULTS} - described
