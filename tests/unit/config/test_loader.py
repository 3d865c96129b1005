"""Reading settings: which file is read, which layer wins, what a name means, and the source of each value."""

from __future__ import annotations

import logging
import os
import pickle
from typing import ClassVar

import pytest
from attrs import field, frozen
from known_plugins import INFOS, GeminiSettings, MockSettings, Size

from kickai_providers_core import (
    ConfigError,
    KickaiSettings,
    ProviderInfo,
    ProviderSettings,
    Resolver,
    Secret,
    Settings,
    Target,
    hookimpl,
)
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.roles import load_built_in_catalogue
from kickai_providers_core.config.sources import read


def settings(source=None, env=None, **further):
    """Return the settings of a mapping, or a file, and an environment."""
    infos = further.pop("infos", INFOS)
    options = {name: further.pop(name) for name in ("broken", "keyring") if name in further}
    return structure(read({} if source is None else source, env or {}, **further), infos, **options)


def in_file(folder, toml, env=None, **further):
    """Return the settings of a folder's file and an environment."""
    (folder / "kickai.toml").write_text(toml, encoding="utf-8")
    infos = further.pop("infos", INFOS)
    return structure(read(None, env or {}, folder=folder, **further), infos)


class TestFile:
    """Which file is read, and the error when it cannot be read."""

    def test_the_nearest_file_is_read(self, tmp_path):
        """The search starts in the folder and goes up; the path is shown relative to the folder, or in full."""
        below = tmp_path / "a" / "b"
        below.mkdir(parents=True)
        (tmp_path / "kickai.toml").write_text('[kickai]\nprimary = "mock"\n')
        document = read(None, {}, folder=below)
        assert document.tables == {"kickai": {"primary": "mock"}}
        assert document.file == str(tmp_path / "kickai.toml")
        (below / "kickai.toml").write_text("")
        assert read(None, {}, folder=below).file == "kickai.toml"

    def test_the_search_starts_in_the_working_directory(self, tmp_path, monkeypatch):
        """This is the default folder."""
        (tmp_path / "kickai.toml").write_text("[kickai]\ndeadline_s = 7\n")
        monkeypatch.chdir(tmp_path)
        assert read(None, {}).tables == {"kickai": {"deadline_s": 7}}

    def test_no_file_means_defaults(self, tmp_path):
        """A folder with the name of the file is ignored."""
        (tmp_path / "kickai.toml").mkdir()
        assert read(None, {}, folder=tmp_path).tables == {}

    @pytest.mark.parametrize("as_text", [True, False])
    def test_a_given_path_is_read(self, tmp_path, as_text):
        """A path, as text or not, takes precedence over the variable and the search."""
        path = tmp_path / "own.toml"
        path.write_text("[kickai]\ndeadline_s = 7\n")
        document = read(str(path) if as_text else path, {"KICKAI_CONFIG": "other.toml"}, folder=tmp_path)
        assert (document.file, document.tables) == ("own.toml", {"kickai": {"deadline_s": 7}})

    def test_kickai_config_names_the_file(self, tmp_path):
        """It takes precedence over the search; an empty value counts as unset."""
        (tmp_path / "own.toml").write_text("[kickai]\ndeadline_s = 7\n")
        (tmp_path / "kickai.toml").write_text("[kickai]\ndeadline_s = 8\n")
        assert read(None, {"KICKAI_CONFIG": "own.toml"}, folder=tmp_path).tables["kickai"] == {"deadline_s": 7}
        assert read(None, {"KICKAI_CONFIG": ""}, folder=tmp_path).tables["kickai"] == {"deadline_s": 8}

    def test_a_byte_order_mark_is_ignored(self, tmp_path):
        """Some editors on Windows write one."""
        (tmp_path / "kickai.toml").write_bytes(b"\xef\xbb\xbf[kickai]\ndeadline_s = 7\n")
        assert read(None, {}, folder=tmp_path).tables == {"kickai": {"deadline_s": 7}}

    @pytest.mark.parametrize(
        ("source", "env", "message"),
        [
            ("no.toml", {}, "no.toml: file not found"),
            (
                None,
                {"KICKAI_CONFIG": "no.toml"},
                "no.toml: file not found. The variable KICKAI_CONFIG names this file",
            ),
            ("folder", {}, "folder: must be a regular file of at most 1024 KiB, got a directory"),
            ("bytes.toml", {}, "bytes.toml: not UTF-8 text (invalid byte at position 4)"),
            ("nul\0.toml", {}, "nul\0.toml: the file cannot be read: ValueError"),
            ("deep.toml", {}, "deep.toml: invalid TOML: arrays or tables are nested too deeply"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_an_error(self, tmp_path, source, env, message):
        """The message names the file and the reason, and does not quote the content."""
        (tmp_path / "folder").mkdir()
        (tmp_path / "bytes.toml").write_bytes(b"a = \xff'canary'")
        (tmp_path / "deep.toml").write_text("a = " + "[" * 100_000)
        with pytest.raises(ConfigError) as caught:
            read(source, env, folder=tmp_path)
        assert str(caught.value) == message
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may read everything")
    def test_a_file_without_read_permission_is_an_error(self, tmp_path):
        """The message has the reason of the operating system."""
        (tmp_path / "kickai.toml").write_text("")
        (tmp_path / "kickai.toml").chmod(0)
        with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
            read(None, {}, folder=tmp_path)

    def test_a_document_does_not_reveal_keys(self, tmp_path):
        """Its repr has none, and it cannot be pickled."""
        document = read({"providers": {"hf": {"token": "canary"}}}, {"HF_TOKEN": "canary"}, folder=tmp_path)
        assert "canary" not in repr(document)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(document)


class TestDotenv:
    """The `.env` next to the file."""

    def test_it_is_read_next_to_the_file(self, tmp_path):
        """Its variables count like those of the environment, and the source names the `.env`."""
        (tmp_path / ".env").write_text("HF_TOKEN=hf_from_file  # mine\nexport KICKAI_DEADLINE_S='7'\nBARE\n# nothing\n")
        below = tmp_path / "below"
        below.mkdir()
        (tmp_path / "kickai.toml").write_text("")
        found = structure(read(None, {}, folder=below), INFOS)
        assert found.providers["huggingface"].token == Secret("hf_from_file")
        assert found.kickai.deadline_s == 7
        assert found.source_of("providers.huggingface.token") == ".env HF_TOKEN"

    def test_without_a_settings_file_it_is_read_from_the_folder(self, tmp_path):
        """A `.env` works without a settings file."""
        (tmp_path / ".env").write_text("AI_PROVIDER=gemini\n")
        assert structure(read(None, {}, folder=tmp_path), INFOS).kickai.preferred == "gemini"

    def test_the_environment_takes_precedence(self, tmp_path):
        """The variables of the process win, and the source says so."""
        (tmp_path / ".env").write_text("HF_TOKEN=hf_from_file\n")
        found = in_file(tmp_path, "", {"HF_TOKEN": "hf_from_process"})
        assert found.providers["huggingface"].token == Secret("hf_from_process")
        assert found.source_of("providers.huggingface.token") == "environment HF_TOKEN"

    def test_nothing_in_it_is_expanded(self, tmp_path):
        """A key may contain a dollar sign, or what a shell would take for a variable."""
        (tmp_path / ".env").write_text("HF_TOKEN=a${HOME}b$c\n")
        assert in_file(tmp_path, "").providers["huggingface"].token == Secret("a${HOME}b$c")

    def test_an_invalid_line_is_a_warning(self, tmp_path, caplog):
        """The warning has the line number and does not quote the line; the other lines count."""
        (tmp_path / ".env").write_text("HF_TOKEN=good\n'canary\nMOCK_SEED=3\n")
        with caplog.at_level(logging.DEBUG):
            found = in_file(tmp_path, "")
        assert found.providers["mock"].seed == 3
        assert str(found.warnings[0]) == ".env: line 2 is ignored (must be NAME=value)"
        assert not caplog.records

    def test_bytes_that_are_not_text_are_an_error(self, tmp_path):
        """The message has the position."""
        (tmp_path / ".env").write_bytes(b"HF_TOKEN=\xff\n")
        with pytest.raises(ConfigError) as caught:
            in_file(tmp_path, "")
        assert str(caught.value) == ".env: not UTF-8 text (invalid byte at position 9)"

    def test_a_folder_named_dotenv_is_ignored(self, tmp_path):
        """It is usually a virtual environment."""
        (tmp_path / ".env").mkdir()
        assert in_file(tmp_path, "").kickai == KickaiSettings()

    def test_settings_from_a_mapping_read_no_file(self, tmp_path):
        """Neither the `.env` nor the settings file of the working directory is read."""
        (tmp_path / ".env").write_text("AI_PROVIDER=gemini\n")
        (tmp_path / "kickai.toml").write_text("[kickai]\ndeadline_s = 1\n")
        assert settings({}, {}, folder=tmp_path).kickai == KickaiSettings()


class TestPrecedence:
    """Defaults < file < environment < code."""

    TOML = "[kickai]\ndeadline_s = 2\n"

    @pytest.mark.parametrize(
        ("layers", "expected"),
        [
            (("", {}, {}), (30, "default")),
            ((TOML, {}, {}), (2, "kickai.toml")),
            ((TOML, {"KICKAI_DEADLINE_S": "3"}, {}), (3, "environment KICKAI_DEADLINE_S")),
            ((TOML, {"KICKAI_DEADLINE_S": "3"}, {"kickai": {"deadline_s": 4}}), (4, "code")),
            (("", {"KICKAI_DEADLINE_S": " "}, {}), (30, "default")),
        ],
    )
    def test_the_higher_layer_wins(self, tmp_path, layers, expected):
        """This holds for a setting of the core."""
        toml, env, code = layers
        found = in_file(tmp_path, toml, env, overrides=code)
        assert (found.kickai.deadline_s, found.source_of("kickai.deadline_s")) == expected

    @pytest.mark.parametrize(
        ("env", "code", "expected", "source"),
        [
            ({}, {}, "from-file", "kickai.toml"),
            ({"HF_TOKEN": "2"}, {}, "2", "environment HF_TOKEN"),
            ({"HF_TOKEN": "2", "HUGGINGFACE_API_TOKEN": "3"}, {}, "3", "environment HUGGINGFACE_API_TOKEN"),
            ({"HF_TOKEN": "2", "HUGGINGFACE_API_TOKEN": " "}, {}, "2", "environment HF_TOKEN"),
            (
                {"HUGGINGFACE_API_TOKEN": "3", "KICKAI_PROVIDERS__HUGGINGFACE__TOKEN": "4"},
                {},
                "4",
                "environment KICKAI_PROVIDERS__HUGGINGFACE__TOKEN",
            ),
            ({"HF_TOKEN": "2"}, {"token": "5"}, "5", "code"),
            ({"HF_TOKEN": "2"}, {"token": Secret("6")}, "6", "code"),
        ],
    )
    def test_the_higher_layer_wins_for_a_key(self, tmp_path, env, code, expected, source):
        """Code wins over the general variable, which wins over the plugin's own ones in their order."""
        toml = '[providers.huggingface]\ntoken = "from-file"\nretries = 1\n'
        found = in_file(tmp_path, toml, env, overrides={"providers": {"huggingface": code}})
        assert found.providers["huggingface"].token == Secret(expected)
        assert found.providers["huggingface"].retries == 1
        assert found.source_of("providers.huggingface.token") == source

    def test_a_mapping_takes_precedence_over_the_environment(self):
        """A mapping is code; overrides take precedence over it."""
        env = {"KICKAI_PRIMARY": "gemini", "KICKAI_DEADLINE_S": "3"}
        found = settings({"kickai": {"primary": "mock"}}, env, overrides={"kickai": {"fallback": ()}})
        assert found.kickai == KickaiSettings(primary="mock", fallback=(), deadline_s=3)

    def test_code_replaces_a_whole_field(self):
        """One reference replaces another; they are not merged."""
        found = settings(
            {"providers": {"huggingface": {"token": {"env": "A"}}}},
            {"A": "a", "B": "b"},
            overrides={"providers": {"huggingface": {"token": {"env": "B"}}}},
        )
        assert found.providers["huggingface"].token == Secret("b")

    def test_code_may_mix_objects_and_tables(self):
        """Instances of the settings classes are accepted as they are."""
        mock = MockSettings(seed=9)
        found = settings(
            {
                "kickai": KickaiSettings(primary="mock", fallback=("gemini",), plugins=("mock", "gemini")),
                "providers": {"mock": mock, "gemini": {"size": Size.LARGE, "api_key": None, "window": (1, 2)}},
                "roles": {"r": {"chain": (Target("mock", "a"), "gemini")}},
            },
            {"MOCK_SEED": "4"},
        )
        assert found.providers["mock"] is mock
        assert found.providers["gemini"] == GeminiSettings(size=Size.LARGE, window=(1, 2))
        assert found.roles["r"].chain == (Target("mock", "a"), Target("gemini"))
        assert found.explicit == {"mock"}


NO_KEY = Secret("")


@frozen(kw_only=True)
class KeyedSettings(ProviderSettings):
    """Settings with a key."""

    key: Secret = NO_KEY


class TestDefaultOrder:
    """Which providers are called when neither a file nor the environment says so."""

    infos: ClassVar = {
        **INFOS,
        **{
            name: ProviderInfo(
                name=name, summary="", settings_class=KeyedSettings, environment={f"{name.upper()}_KEY": "key"}
            )
            for name in ("zebra", "acme", "nokey")
        },
    }
    keys: ClassVar = {"ZEBRA_KEY": "z", "ACME_KEY": "a"}

    def order(self, source=None, env=None):
        """Return the instances in the order in which they are called."""
        return structure(read(source or {}, env or {}), self.infos).kickai.order

    def test_without_further_keys_it_is_fixed(self):
        """Plugins without a key are called only when they are named."""
        assert self.order() == ("huggingface", "gemini", "local")

    def test_other_plugins_with_a_key_come_before_the_local_model(self):
        """In the order of their names; a table of the file may have the key as well."""
        assert self.order(env=self.keys) == ("huggingface", "gemini", "acme", "zebra", "local")
        table = {"providers": {"zebra": {"key": "z"}, "acme": {"timeout_s": 3}}}
        assert self.order(table) == ("huggingface", "gemini", "zebra", "local")

    @pytest.mark.parametrize(
        ("kickai", "order"),
        [
            ({"primary": "mock"}, ("mock", "gemini", "local")),
            ({"fallback": []}, ("huggingface",)),
            ({"deadline_s": 3}, ("huggingface", "gemini", "acme", "zebra", "local")),
            (KickaiSettings(fallback=()), ("huggingface",)),
        ],
    )
    def test_an_order_that_was_chosen_is_kept(self, kickai, order):
        """With a primary or a fallback nothing is added."""
        assert self.order({"kickai": kickai}, self.keys) == order

    def test_no_provider_is_installed(self):
        """The warning is not given when another provider has a key."""
        only = {name: self.infos[name] for name in ("acme", "nokey")}
        message = "none of the providers huggingface, gemini, local is installed"
        assert message in str(structure(read({}, {}), only).warnings)
        assert message not in str(structure(read({}, self.keys), only).warnings)


class TestEnvironment:
    """Variables of the core, of plugins and of instances."""

    def test_the_variables_of_the_core(self):
        """Each sets a field of [kickai]."""
        env = {
            "AI_PROVIDER": "gemini",
            "KICKAI_PRIMARY": " mock ",
            "KICKAI_FALLBACK": "gemini, hf",
            "KICKAI_DEADLINE_S": "1.5",
            "KICKAI_PLUGINS": "mock,gemini,huggingface",
        }
        assert settings({}, env).kickai == KickaiSettings(
            primary="mock",
            fallback=("gemini", "huggingface"),
            deadline_s=1.5,
            plugins=("mock", "gemini", "huggingface"),
            preferred="gemini",
        )

    def test_none_means_an_empty_array(self):
        """KICKAI_FALLBACK=none means no fallback, KICKAI_PLUGINS=none means no plugin."""
        document = read({}, {"KICKAI_FALLBACK": "None", "KICKAI_PLUGINS": " none "})
        assert document.plugins == ()
        assert structure(document, {}).kickai == KickaiSettings(fallback=(), plugins=())

    @pytest.mark.parametrize("blank", ["", " ", "\t\n"])
    @pytest.mark.parametrize(
        ("variable", "text", "read_as"),
        [
            ("KICKAI_PRIMARY", "mock", lambda found: found.kickai.primary),
            ("KICKAI_FALLBACK", "mock", lambda found: found.kickai.fallback),
            ("KICKAI_DEADLINE_S", "7", lambda found: found.kickai.deadline_s),
            ("KICKAI_PLUGINS", "mock,gemini,huggingface", lambda found: found.kickai.plugins),
            ("AI_PROVIDER", "gemini", lambda found: found.kickai.preferred),
            ("HF_TOKEN", "key", lambda found: found.providers["huggingface"].token),
            ("GOOGLE_API_KEY", "key", lambda found: found.providers["gemini"].api_key),
            ("KICKAI_PROVIDERS__MOCK__SEED", "7", lambda found: found.providers["mock"].seed),
            ("MINE", "key", lambda found: found.providers["work"].api_key),
        ],
    )
    def test_a_blank_variable_counts_as_unset(self, tmp_path, variable, text, read_as, blank):
        """This holds in the environment, with and without a .env, and in the .env."""
        toml = '[providers.work]\nkind = "gemini"\napi_key = { env = "MINE" }\n'
        unset = read_as(in_file(tmp_path, toml))
        assert read_as(in_file(tmp_path, toml, {variable: blank})) == unset
        (tmp_path / ".env").write_text(f"{variable}={text}\n")
        filled = read_as(in_file(tmp_path, toml))
        assert filled != unset
        assert read_as(in_file(tmp_path, toml, {variable: blank})) == filled
        (tmp_path / ".env").write_text(f"{variable}='{blank}'\n")
        assert read_as(in_file(tmp_path, toml)) == unset

    @pytest.mark.parametrize("toml", ["", '[kickai]\nprimary = "mock"\n', "[providers.mock]\nretries = 1\n"])
    def test_an_invalid_variable_of_a_plugin_makes_its_instance_unusable(self, tmp_path, toml):
        """The problem names the variable, and everything else works."""
        found = in_file(tmp_path, toml, {"MOCK_SEED": "x", "GOOGLE_API_KEY": "key"})
        (problem,) = found.unusable["mock"]
        assert [*found.unusable] == ["mock"]
        assert (problem.source, problem.path) == ("environment MOCK_SEED", "seed")
        assert problem.missing == "a valid MOCK_SEED"
        assert problem.message == "must be an integer, got 'x'"
        assert found.providers["gemini"].api_key == Secret("key")
        assert found.providers["mock"].seed == 0

    @pytest.mark.parametrize(
        "further", [{"KICKAI_PROVIDERS__MOCK__SEED": "3"}, {"overrides": {"providers": {"mock": {"seed": 3}}}}]
    )
    def test_an_invalid_variable_that_is_overridden_is_ignored(self, tmp_path, further):
        """The value that overrides it counts."""
        overrides = further.pop("overrides", {})
        found = in_file(tmp_path, "", {"MOCK_SEED": "x", **further}, overrides=overrides)
        assert found.unusable == {}
        assert found.providers["mock"].seed == 3

    def test_text_is_converted_to_the_type_of_its_setting(self):
        """Booleans, numbers, arrays, enum members and nested fields."""
        env = {
            "KICKAI_PROVIDERS__HF__STREAM_USAGE": "No",
            "KICKAI_PROVIDERS__GEMINI__SIZE": "LARGE",
            "KICKAI_PROVIDERS__GEMINI__CLIENT": "New",
            "KICKAI_PROVIDERS__GEMINI__WINDOW": "1, 2",
            "KICKAI_PROVIDERS__GEMINI__LIMIT": "5",
            "KICKAI_PROVIDERS__MOCK__REPLIES": "a,b",
            "KICKAI_PROVIDERS__MOCK__FAULT__RATE": "1",
            "KICKAI_PROVIDERS__MOCK__FAULTS__X__RATE": "0.25",
        }
        providers = settings({}, env).providers
        assert providers["huggingface"].stream_usage is False
        gemini, mock = providers["gemini"], providers["mock"]
        assert (gemini.size, gemini.client, gemini.window, gemini.limit) == (Size.LARGE, "new", (1, 2), 5)
        assert mock.replies == ("a", "b")
        assert mock.fault.rate == 1.0
        assert mock.faults["x"].rate == 0.25

    def test_a_plugin_variable_sets_the_plugins_own_instance_only(self):
        """No other instance of the plugin gets the key."""
        found = settings({"providers": {"my-tgi": {"kind": "hf"}}}, {"HF_TOKEN": "hf_canary"})
        assert found.providers["huggingface"].token == Secret("hf_canary")
        assert found.providers["my-tgi"].token == Secret("")

    def test_a_reference_takes_precedence_over_a_plugin_variable(self, tmp_path):
        """The general variable takes precedence over both."""
        toml = '[providers.hf]\nbase_url = "http://127.0.0.1/v1"\ntoken = { env = "MINE" }\n'
        found = in_file(tmp_path, toml, {"HF_TOKEN": "hf_canary", "MINE": "mine"})
        assert found.providers["huggingface"].token == Secret("mine")
        assert found.source_of("providers.huggingface.token") == "environment MINE"
        general = {"KICKAI_PROVIDERS__HF__TOKEN": "over"}
        assert in_file(tmp_path, toml, general).providers["huggingface"].token == Secret("over")

    def test_variables_spell_instance_names_with_underscores(self):
        """`my-tgi` is MY_TGI, and an alias means the plugin's own instance."""
        env = {"KICKAI_PROVIDERS__MY_TGI__RETRIES": "0", "KICKAI_PROVIDERS__HF__RETRIES": "1"}
        found = settings({"providers": {"my-tgi": {"kind": "hf"}}}, env)
        assert (found.providers["my-tgi"].retries, found.providers["huggingface"].retries) == (0, 1)

    def test_an_empty_variable_counts_as_unset(self):
        """A template may contain it."""
        assert settings({}, {"KICKAI_PROVIDERS__MOCK__SEED": "", "HF_TOKEN": " "}).providers["mock"].seed == 0

    def test_a_variable_does_not_hide_an_invalid_table(self, tmp_path):
        """The error of the file is reported."""
        with pytest.raises(ConfigError) as caught:
            in_file(tmp_path, "[providers]\nhuggingface = 'canary'\n", {"HF_TOKEN": "canary"})
        assert str(caught.value) == "kickai.toml: providers.huggingface: must be a table, got a string"

    def test_a_misspelled_variable_is_a_warning(self):
        """Variables that are not similar to ours, and those of plugins, are not reported."""
        found = settings({}, {"KICKAI_FALBACK": "canary", "KICKAI_COLOUR": "1", "MOCK_SEED": "2"})
        (message,) = [str(warning) for warning in found.warnings if warning.source == "environment KICKAI_FALBACK"]
        assert message == (
            "environment KICKAI_FALBACK: unknown variable (known: AI_PROVIDER, "
            "KICKAI_PRIMARY, KICKAI_FALLBACK, KICKAI_DEADLINE_S, KICKAI_PLUGINS, KICKAI_STORE, "
            "KICKAI_EXPOSE_SERVICE_MESSAGES, KICKAI_CONFIG). "
            "Did you mean 'KICKAI_FALLBACK'?"
        )
        assert not any("COLOUR" in warning.source for warning in found.warnings)


class TestAllowList:
    """The list of the plugins that may be loaded, which is known before any is loaded."""

    @pytest.mark.parametrize(
        ("source", "env", "allowed"),
        [
            ({}, {}, None),
            ({}, {"KICKAI_PLUGINS": "mock, gemini,"}, ("mock", "gemini")),
            ({}, {"KICKAI_PLUGINS": ""}, None),
            ({}, {"KICKAI_PLUGINS": "none"}, ()),
            ({"kickai": {"plugins": ["mock"]}}, {}, ("mock",)),
            ({"kickai": {"plugins": ["mock"]}}, {"KICKAI_PLUGINS": "gemini"}, ("mock",)),
            ({"kickai": {"plugins": None}}, {"KICKAI_PLUGINS": "gemini"}, None),
            ({"kickai": KickaiSettings(plugins=("mock",))}, {}, ("mock",)),
            ({"kickai": {"plugins": "mock"}}, {}, ()),
            ({"kickai": {"plugins": [1]}}, {}, ()),
            ({"kickai": 3}, {}, ()),
        ],
    )
    def test_code_takes_precedence_over_the_environment(self, source, env, allowed):
        """An invalid list allows no plugin."""
        assert read(source, env).plugins == allowed

    @pytest.mark.parametrize(("env", "allowed"), [({}, ("mock",)), ({"KICKAI_PLUGINS": "gemini"}, ("gemini",))])
    def test_the_environment_takes_precedence_over_the_file(self, tmp_path, env, allowed):
        """The variable replaces the file's list."""
        (tmp_path / "kickai.toml").write_text('[kickai]\nplugins = ["mock"]\n')
        assert read(None, env, folder=tmp_path).plugins == allowed

    def test_an_invalid_list_is_the_only_problem(self, tmp_path):
        """Without a list no plugin is loaded, and unknown names are not reported."""
        with pytest.raises(ConfigError) as caught:
            in_file(tmp_path, '[kickai]\nplugins = "mock"\nprimary = "mock"\n[providers.mock]\n', infos={})
        assert [problem.path for problem in caught.value.problems] == ["kickai.plugins"]


class TestNames:
    """What a name means."""

    def test_an_alias_means_the_plugins_own_instance(self):
        """This holds for tables, chains, roles and variables; the instance has the plugin's name."""
        found = settings(
            {
                "kickai": {"primary": "hf", "fallback": ["gemini"], "preferred": "hf"},
                "providers": {"hf": {"retries": 0}, "tgi": {"kind": "hf"}},
                "roles": {"r": {"chain": ["hf:m", "tgi"], "models": {"hf": ["m"]}, "prefers": "hf"}},
            }
        )
        assert found.kickai == KickaiSettings(primary="huggingface", fallback=("gemini",), preferred="huggingface")
        assert found.providers["huggingface"].retries == 0
        assert found.providers["huggingface"].kind is None
        assert found.providers["tgi"].kind == "huggingface"
        assert "hf" not in found.providers
        role = found.roles["r"]
        assert role.chain == (Target("huggingface", "m"), Target("tgi"))
        assert (role.models, role.prefers) == ({"huggingface": ("m",)}, "huggingface")
        assert found.explicit == {"huggingface", "gemini"}
        assert found.source_of("providers.huggingface.retries") == "code"

    def test_every_plugin_has_an_instance(self):
        """Without a table it has the defaults and the values of its variables."""
        found = settings({}, {"GEMINI_API_KEY": "k"})
        assert set(found.providers) == set(INFOS)
        assert found.providers["mock"] == MockSettings()
        assert found.providers["gemini"].api_key == Secret("k")

    def test_a_plugin_with_required_settings_is_an_error_only_if_it_is_mentioned(self, tmp_path):
        """Otherwise a warning says what is missing."""

        @frozen(kw_only=True)
        class Demanding(ProviderSettings):
            account: str = field()

        infos = {**INFOS, "demanding": ProviderInfo(name="demanding", summary="", settings_class=Demanding)}
        found = in_file(tmp_path, "", infos=infos)
        assert "demanding" not in found.providers
        assert "kickai.toml: providers.demanding.account: missing (must be a string)" in map(str, found.warnings)
        with pytest.raises(ConfigError, match=r"providers\.demanding\.account: missing \(must be a string\)"):
            in_file(tmp_path, "[providers.demanding]\nretries = 1\n", infos=infos)

    def test_a_broken_plugin_may_be_named(self, tmp_path):
        """Its table is not checked, with a warning, and the chain can skip it."""
        toml = '[kickai]\nprimary = "huggingface"\n[providers.huggingface]\nxyzzy = 1\n'
        (tmp_path / "kickai.toml").write_text(toml)
        infos = {name: info for name, info in INFOS.items() if name != "huggingface"}
        found = structure(read(None, {}, folder=tmp_path), infos, broken=["huggingface"])
        assert found.kickai.primary == "huggingface"
        assert "huggingface" not in found.providers
        assert ("kickai.toml: providers.huggingface: not checked, because the plugin huggingface is broken") in map(
            str, found.warnings
        )

    def test_default_providers_need_not_be_installed(self):
        """Only chosen names have to be installed."""
        assert settings({}).kickai.fallback == ("gemini", "local")
        assert settings({}).explicit == frozenset()

    def test_a_provider_that_is_allowed_and_not_installed_has_an_install_hint(self):
        """The list allows it, so the distribution is missing."""
        with pytest.raises(ConfigError, match="Install kickai-local"):
            settings({"kickai": {"primary": "local", "plugins": ["kickai-local", "mock"]}})

    def test_the_fallback_may_be_empty(self):
        """The primary is the only provider."""
        assert settings({"kickai": {"fallback": [], "primary": "mock"}}).kickai.order == ("mock",)

    def test_no_installed_provider_is_a_warning(self):
        """It says what to install."""
        (warning,) = settings({}, infos={}).warnings
        assert str(warning) == (
            "kickai.primary: none of the providers huggingface, gemini, local is installed. "
            "Install one of them (kickai providers --available shows how)"
        )

    def test_annotations_may_use_names_that_are_imported_for_type_checkers_only(self):
        """This holds for the types of the core."""
        class_ = frozen(kw_only=True)(
            type("Late", (ProviderSettings,), {"__annotations__": {"key": "Secret"}, "key": Secret("")})
        )
        infos = {"late": ProviderInfo(name="late", summary="", settings_class=class_)}
        assert settings({"providers": {"late": {"key": "k"}}}, infos=infos).providers["late"].key == Secret("k")

    def test_a_settings_class_with_an_invalid_annotation_is_an_error(self):
        """The message names the class."""
        class_ = frozen(kw_only=True)(
            type("Odd", (ProviderSettings,), {"__annotations__": {"key": "Nonsense"}, "key": None})
        )
        infos = {"odd": ProviderInfo(name="odd", summary="", settings_class=class_)}
        with pytest.raises(ConfigError) as caught:
            settings({"providers": {"odd": {"key": "k"}}}, infos=infos)
        assert str(caught.value) == (
            "code: providers.odd: the settings class Odd cannot be read (NameError: name 'Nonsense' is not defined)"
        )


class TestRoles:
    """[roles.…], [catalogues.…] and [successors]."""

    def test_a_table_changes_single_fields_of_a_role(self, tmp_path):
        """The others stay as in the catalogue, and each value has its source."""
        found = in_file(tmp_path, "[roles.player_coordinator]\nmax_tokens = 50\nmodels = { gemini = ['g', 'h'] }\n")
        role, shipped = found.roles["player_coordinator"], Settings().roles["player_coordinator"]
        assert (role.max_tokens, role.temperature) == (50, 0.1)
        assert role.models == {**shipped.models, "gemini": ("g", "h")}
        assert role.planned == {}
        assert found.source_of("roles.player_coordinator.max_tokens") == "kickai.toml"
        assert found.source_of("roles.player_coordinator.temperature") == "catalogue kickai"
        assert found.source_of("roles.team_manager.models") == "catalogue kickai"

    def test_a_group_sets_the_temperature(self):
        """A temperature of the table itself takes precedence."""
        roles = {"team_manager": {"group": "creative"}, "finance_manager": {"group": "creative", "temperature": 0}}
        found = settings({"roles": roles}).roles
        assert (found["team_manager"].temperature, found["finance_manager"].temperature) == (0.7, 0.0)

    def test_a_new_role_uses_the_order_of_the_settings(self):
        """Without its own models it uses those of the instances."""
        found = settings({"kickai": {"primary": "mock", "fallback": ["gemini"]}, "roles": {"scout": {}}})
        assert found.targets_for(found.roles["scout"]) == (Target("mock"), Target("gemini"))

    def test_a_custom_catalogue_replaces_the_built_in_one(self, tmp_path):
        """It has its own groups, roles, default role and successors."""
        toml = """
            [kickai]
            catalogue = "league"
            primary = "mock"
            fallback = ["gemini"]
            [catalogues.league.groups.calm]
            temperature = 0.2
            reason = "calm"
            [catalogues.league.roles.referee]
            group = "calm"
            max_tokens = 90
            models = { mock = ["old", "b"] }
            [catalogues.league.default]
            max_tokens = 10
            prefers = "gemini"
            [catalogues.league.successors]
            old = "new"
            [roles.referee]
            max_tokens = 91
        """
        found = in_file(tmp_path, toml)
        assert set(found.roles) == {"referee"}
        assert set(found.groups) == {"calm"}
        role = found.roles["referee"]
        assert (role.temperature, role.max_tokens) == (0.2, 91)
        assert (role.models, role.planned) == ({"mock": ("new", "b")}, {"mock": "old"})
        assert found.targets_for(found.role("x")) == (Target("gemini"), Target("mock"))
        assert found.default_role.max_tokens == 10
        assert found.source_of("roles.referee.temperature") == "catalogue league"
        assert found.find_successor("gemini-1.5-flash") == "gemini-1.5-flash"

    def test_a_retired_model_is_reported_once(self, tmp_path):
        """The successor is called; successors come from the settings, the catalogue and plugins."""
        toml = """
            [providers.gemini]
            model = "gemini-0.9"
            [roles.scout]
            chain = ["gemini:gemini-1.5-pro", "mock"]
            [roles.keeper]
            chain = ["gemini:gemini-1.5-pro"]
            [successors]
            "gemini-1.5-pro" = "mine"
        """
        found = in_file(tmp_path, toml)
        assert found.providers["gemini"].model == "gemini-3.5-flash-lite"
        assert found.targets_for(found.roles["keeper"]) == (Target("gemini", "mine"),)
        retired = "{}: '{}' is retired; '{}' is called instead"
        assert [str(warning) for warning in found.warnings] == [
            retired.format("kickai.toml: providers.gemini.model", "gemini-0.9", "gemini-3.5-flash-lite"),
            retired.format("kickai.toml: roles.scout.chain[0]", "gemini-1.5-pro", "mine"),
            retired.format(
                "catalogue kickai: roles.player_coordinator.models.gemini", "gemini-1.5-flash", "gemini-3.5-flash-lite"
            ),
        ]

    def test_a_retired_model_that_a_role_inherits_is_the_catalogues(self, tmp_path):
        """The user has changed another field of the role, and is not warned of a model that the catalogue names."""
        (warning,) = in_file(tmp_path, "[roles.player_coordinator]\ntemperature = 0.1").warnings
        assert (warning.source, warning.path) == ("catalogue kickai", "roles.player_coordinator.models.gemini")
        own = '[roles.player_coordinator.models]\ngemini = ["gemini-1.5-pro"]'
        sources = {warning.path: warning.source for warning in in_file(tmp_path, own).warnings}
        assert sources["roles.player_coordinator.models.gemini"] == "kickai.toml"

    def test_a_retired_model_that_is_not_used_is_not_reported(self):
        """Without its plugin the model is not called."""
        assert settings({}, infos={"mock": INFOS["mock"]}).warnings[0].path == "kickai.primary"
        assert len(settings({"kickai": {"primary": "mock"}}, infos={"mock": INFOS["mock"]}).warnings) == 0

    def test_a_duplicate_target_is_a_warning(self, tmp_path):
        """In chains and fallbacks, under an alias as well; it is called once."""
        toml = """
            [kickai]
            fallback = ["hf", "gemini", "huggingface"]
            [roles.r]
            chain = ["hf:m", "mock", "huggingface:m"]
        """
        found = in_file(tmp_path, toml, infos={**INFOS, "gemini": ProviderInfo(name="gemini", summary="")})
        twice = "kickai.toml: {}: duplicate of '{}', which is ignored"
        assert [str(warning) for warning in found.warnings if "duplicate" in warning.message] == [
            twice.format("kickai.fallback[2]", "huggingface"),
            twice.format("roles.r.chain[2]", "huggingface:m"),
        ]
        assert found.targets_for(found.roles["r"]) == (Target("huggingface", "m"), Target("mock"))

    def test_a_role_may_name_models_of_providers_that_are_not_installed(self):
        """Another machine may have them."""
        found = settings({"roles": {"r": {"models": {"ollama": ["llama3"]}, "prefers": "local"}}})
        assert found.roles["r"].models == {"ollama": ("llama3",)}

    def test_the_preferred_provider_comes_first_for_every_role(self):
        """AI_PROVIDER alone is the rollback, for roles with their own chain as well."""
        found = settings({"roles": {"r": {"chain": ["hf:m"]}}}, {"AI_PROVIDER": "gemini"})
        for role in (*found.roles.values(), found.default_role):
            assert found.targets_for(role)[0].provider == "gemini"
        assert found.source_of("kickai.preferred") == "environment AI_PROVIDER"

    def test_reading_settings_does_not_change_the_built_in_catalogue(self):
        """Its values stay as they are."""
        settings({"roles": {"team_manager": {"models": {"gemini": ["x"]}}}})
        assert load_built_in_catalogue().roles["team_manager"].models["gemini"] == ("gemini-1.5-flash",)


class TestPolicy:
    """[policy] and [breaker]."""

    def test_a_table_changes_single_fields_of_a_policy_row(self, tmp_path):
        """The other fields and rows stay as they are."""
        found = in_file(
            tmp_path, '[policy]\nlast_resort = false\n[policy.timeout]\nretry = "never"\n[breaker]\nmax_errors = 5\n'
        )
        assert found.policy.timeout.retry == "never"
        assert found.policy.timeout.counts is True
        assert found.policy.unavailable == Settings().policy.unavailable
        assert found.policy.last_resort is False
        assert (found.breaker.max_errors, found.breaker.cooldown_s) == (5, 5.0)
        assert found.source_of("policy.timeout.retry") == "kickai.toml"
        assert found.source_of("policy.timeout.counts") == "default"


def test_the_environment_of_the_process_is_neither_read_nor_changed(tmp_path, monkeypatch):
    """The environment is an argument."""
    monkeypatch.setenv("AI_PROVIDER", "nobody")
    (tmp_path / ".env").write_text("KICKAI_DEADLINE_S=7\n")
    before = dict(os.environ)
    assert in_file(tmp_path, "").kickai == KickaiSettings(deadline_s=7)
    assert dict(os.environ) == before


EXPOSED = "expose_service_messages = true"


@pytest.mark.parametrize(
    ("toml", "env", "mock", "gemini"),
    [
        ("", {}, False, False),
        (f"[kickai]\n{EXPOSED}", {}, True, True),
        ("", {"KICKAI_EXPOSE_SERVICE_MESSAGES": "yes"}, True, True),
        (f"[kickai]\n{EXPOSED}", {"KICKAI_EXPOSE_SERVICE_MESSAGES": "no"}, False, False),
        (f"[providers.mock]\n{EXPOSED}", {}, True, False),
        (f"[kickai]\n{EXPOSED}\n[providers.mock]\nexpose_service_messages = false", {}, False, True),
        (f"[kickai]\n{EXPOSED}", {"KICKAI_PROVIDERS__MOCK__EXPOSE_SERVICE_MESSAGES": "0"}, False, True),
    ],
)
def test_an_instance_setting_overrides_the_default_for_service_messages(tmp_path, toml, env, mock, gemini):
    """The value of ``[kickai]`` is the default of every instance."""
    found = in_file(tmp_path, f"{toml}\n", env)
    assert found.providers["mock"].expose_service_messages is mock
    assert found.providers["gemini"].expose_service_messages is gemini


@pytest.mark.parametrize("of_all", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_settings_in_code_expose_service_messages_if_either_value_is_true(of_all, own):
    """This holds for instances with and without their own settings."""
    settings = Settings(
        kickai=KickaiSettings(expose_service_messages=of_all, primary="stub", plugins=()),
        providers={"stub": ProviderSettings(expose_service_messages=own)},
    )
    with Resolver.from_settings(settings, plugins={"stub": _Stub("stub"), "other": _Stub("other")}) as resolver:
        exposed = {instance.name: instance.settings.expose_service_messages for instance in resolver.registry}
        assert resolver.settings.explicit == settings.explicit
    assert exposed == {"stub": of_all or own, "other": of_all}


class _Stub:
    """A provider that is never called."""

    def __init__(self, name):
        self._name = name

    @hookimpl
    def kickai_provider_info(self):
        """Describe it."""
        return ProviderInfo(name=self._name, summary="")

    @hookimpl
    def kickai_create_provider(self, settings):
        """Return nothing of use."""
        return object()

    @hookimpl
    def kickai_invoke_provider(self, provider, request, timeout_s):
        """Answer nothing."""
