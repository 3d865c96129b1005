"""Reading settings: which file, which layer wins, who is meant by a name, and where each value comes from."""

from __future__ import annotations

import logging
import os
import pickle

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
    """Return the settings that a mapping, or a file's text, and an environment mean."""
    infos = further.pop("infos", INFOS)
    options = {name: further.pop(name) for name in ("broken", "keyring") if name in further}
    return structure(read({} if source is None else source, env or {}, **further), infos, **options)


def in_file(folder, toml, env=None, **further):
    """Return the settings that a folder's file and an environment mean."""
    (folder / "kickai.toml").write_text(toml, encoding="utf-8")
    infos = further.pop("infos", INFOS)
    return structure(read(None, env or {}, folder=folder, **further), infos)


class TestFile:
    """Which file is read, and what is said when it cannot be."""

    def test_the_nearest_file_upwards_is_read(self, tmp_path):
        """It is looked for from the working directory upwards, and shown relative to that or in full."""
        below = tmp_path / "a" / "b"
        below.mkdir(parents=True)
        (tmp_path / "kickai.toml").write_text('[kickai]\nprimary = "mock"\n')
        document = read(None, {}, folder=below)
        assert document.tables == {"kickai": {"primary": "mock"}}
        assert document.file == str(tmp_path / "kickai.toml")
        (below / "kickai.toml").write_text("")
        assert read(None, {}, folder=below).file == "kickai.toml"

    def test_the_working_directory_is_where_it_starts(self, tmp_path, monkeypatch):
        """Without a folder it is that of the process."""
        (tmp_path / "kickai.toml").write_text("[kickai]\ndeadline_s = 7\n")
        monkeypatch.chdir(tmp_path)
        assert read(None, {}).tables == {"kickai": {"deadline_s": 7}}

    def test_no_file_is_no_fault(self, tmp_path):
        """Without a file there are the defaults; a folder of that name is no file."""
        (tmp_path / "kickai.toml").mkdir()
        assert read(None, {}, folder=tmp_path).tables == {}

    @pytest.mark.parametrize("as_text", [True, False])
    def test_a_path_is_read_as_it_is(self, tmp_path, as_text):
        """A path, as text or not, outranks the variable and the search."""
        path = tmp_path / "own.toml"
        path.write_text("[kickai]\ndeadline_s = 7\n")
        document = read(str(path) if as_text else path, {"KICKAI_CONFIG": "other.toml"}, folder=tmp_path)
        assert (document.file, document.tables) == ("own.toml", {"kickai": {"deadline_s": 7}})

    def test_the_variable_names_the_file(self, tmp_path):
        """KICKAI_CONFIG outranks the search; an empty one counts as unset."""
        (tmp_path / "own.toml").write_text("[kickai]\ndeadline_s = 7\n")
        (tmp_path / "kickai.toml").write_text("[kickai]\ndeadline_s = 8\n")
        assert read(None, {"KICKAI_CONFIG": "own.toml"}, folder=tmp_path).tables["kickai"] == {"deadline_s": 7}
        assert read(None, {"KICKAI_CONFIG": ""}, folder=tmp_path).tables["kickai"] == {"deadline_s": 8}

    def test_a_byte_order_mark_is_no_fault(self, tmp_path):
        """Windows' editor writes one."""
        (tmp_path / "kickai.toml").write_bytes(b"\xef\xbb\xbf[kickai]\ndeadline_s = 7\n")
        assert read(None, {}, folder=tmp_path).tables == {"kickai": {"deadline_s": 7}}

    @pytest.mark.parametrize(
        ("source", "env", "told"),
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
    def test_a_file_that_cannot_be_read(self, tmp_path, source, env, told):
        """It is named, with the reason; its content is not."""
        (tmp_path / "folder").mkdir()
        (tmp_path / "bytes.toml").write_bytes(b"a = \xff'canary'")
        (tmp_path / "deep.toml").write_text("a = " + "[" * 100_000)
        with pytest.raises(ConfigError) as caught:
            read(source, env, folder=tmp_path)
        assert str(caught.value) == told
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may read everything")
    def test_a_file_without_leave_to_read(self, tmp_path):
        """The system's reason is told."""
        (tmp_path / "kickai.toml").write_text("")
        (tmp_path / "kickai.toml").chmod(0)
        with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
            read(None, {}, folder=tmp_path)

    def test_a_document_keeps_its_keys_to_itself(self, tmp_path):
        """Neither its repr nor a pickle holds what was written."""
        document = read({"providers": {"hf": {"token": "canary"}}}, {"HF_TOKEN": "canary"}, folder=tmp_path)
        assert "canary" not in repr(document)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(document)


class TestDotenv:
    """The `.env` beside the file."""

    def test_it_is_read_beside_the_file(self, tmp_path):
        """Its variables are those of the environment, and the source says so."""
        (tmp_path / ".env").write_text("HF_TOKEN=hf_from_file  # mine\nexport KICKAI_DEADLINE_S='7'\nBARE\n# nothing\n")
        below = tmp_path / "below"
        below.mkdir()
        (tmp_path / "kickai.toml").write_text("")
        found = structure(read(None, {}, folder=below), INFOS)
        assert found.providers["huggingface"].token == Secret("hf_from_file")
        assert found.kickai.deadline_s == 7
        assert found.source_of("providers.huggingface.token") == ".env HF_TOKEN"

    def test_without_a_file_it_is_that_of_the_folder(self, tmp_path):
        """A newcomer's `.env` counts although there is no settings file yet."""
        (tmp_path / ".env").write_text("AI_PROVIDER=gemini\n")
        assert structure(read(None, {}, folder=tmp_path), INFOS).kickai.preferred == "gemini"

    def test_the_environment_outranks_it(self, tmp_path):
        """What the process was started with wins, and the source says so."""
        (tmp_path / ".env").write_text("HF_TOKEN=hf_from_file\n")
        found = in_file(tmp_path, "", {"HF_TOKEN": "hf_from_process"})
        assert found.providers["huggingface"].token == Secret("hf_from_process")
        assert found.source_of("providers.huggingface.token") == "environment HF_TOKEN"

    def test_nothing_in_it_is_replaced(self, tmp_path):
        """A key may hold a dollar sign, or what a shell would take for a variable."""
        (tmp_path / ".env").write_text("HF_TOKEN=a${HOME}b$c\n")
        assert in_file(tmp_path, "").providers["huggingface"].token == Secret("a${HOME}b$c")

    def test_a_line_that_cannot_be_read_is_a_warning(self, tmp_path, caplog):
        """The line is named, not shown, and the others count."""
        (tmp_path / ".env").write_text("HF_TOKEN=good\n'canary\nMOCK_SEED=3\n")
        with caplog.at_level(logging.DEBUG):
            found = in_file(tmp_path, "")
        assert found.providers["mock"].seed == 3
        assert str(found.warnings[0]) == ".env: line 2 is ignored (must be NAME=value)"
        assert not caplog.records

    def test_bytes_in_it_are_told(self, tmp_path):
        """It is text or an error."""
        (tmp_path / ".env").write_bytes(b"HF_TOKEN=\xff\n")
        with pytest.raises(ConfigError) as caught:
            in_file(tmp_path, "")
        assert str(caught.value) == ".env: not UTF-8 text (invalid byte at position 9)"

    def test_a_folder_of_that_name_is_none(self, tmp_path):
        """It is usually a virtual environment."""
        (tmp_path / ".env").mkdir()
        assert in_file(tmp_path, "").kickai == KickaiSettings()

    def test_a_mapping_has_none(self, tmp_path):
        """Whoever passes settings in code gets no file of the working directory with them."""
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
        """For a field of the core."""
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
        """The most important variable that is not empty, over it the general one, over all code."""
        toml = '[providers.huggingface]\ntoken = "from-file"\nretries = 1\n'
        found = in_file(tmp_path, toml, env, overrides={"providers": {"huggingface": code}})
        assert found.providers["huggingface"].token == Secret(expected)
        assert found.providers["huggingface"].retries == 1
        assert found.source_of("providers.huggingface.token") == source

    def test_a_mapping_outranks_the_environment(self):
        """A mapping is code; keywords beside it outrank it."""
        env = {"KICKAI_PRIMARY": "gemini", "KICKAI_DEADLINE_S": "3"}
        found = settings({"kickai": {"primary": "mock"}}, env, overrides={"kickai": {"fallback": ()}})
        assert found.kickai == KickaiSettings(primary="mock", fallback=(), deadline_s=3)

    def test_code_replaces_a_field_whole(self):
        """A reference takes the place of another: the two do not become one."""
        found = settings(
            {"providers": {"huggingface": {"token": {"env": "A"}}}},
            {"A": "a", "B": "b"},
            overrides={"providers": {"huggingface": {"token": {"env": "B"}}}},
        )
        assert found.providers["huggingface"].token == Secret("b")

    def test_code_may_mix_values_and_tables(self):
        """Instances of the classes that the tables stand for are taken as they are."""
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


class TestEnvironment:
    """Variables of the core, of plugins and of instances."""

    def test_the_variables_of_the_core(self):
        """Each names a field of [kickai]."""
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

    def test_none_is_an_empty_list(self):
        """KICKAI_FALLBACK=none is no fallback, KICKAI_PLUGINS=none is no plugin."""
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
        """Over a .env, whose value counts then; in the .env; and without one."""
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
    def test_an_invalid_variable_of_one_provider_makes_it_unusable(self, tmp_path, toml):
        """The provider is not configured, the variable is named, and everything else can be used."""
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
    def test_an_invalid_variable_that_is_outranked_does_no_harm(self, tmp_path, further):
        """The value that outranks it counts."""
        overrides = further.pop("overrides", {})
        found = in_file(tmp_path, "", {"MOCK_SEED": "x", **further}, overrides=overrides)
        assert found.unusable == {}
        assert found.providers["mock"].seed == 3

    def test_text_becomes_what_is_wanted(self):
        """A boolean, a number, an array, a member, an inner field: the field's type decides."""
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

    def test_a_plugins_variable_is_for_its_own_instance(self):
        """A key in the environment goes to no other instance of the kind, whatever its address."""
        found = settings({"providers": {"my-tgi": {"kind": "hf"}}}, {"HF_TOKEN": "hf_canary"})
        assert found.providers["huggingface"].token == Secret("hf_canary")
        assert found.providers["my-tgi"].token == Secret("")

    def test_a_chosen_reference_outranks_a_plugins_variable(self, tmp_path):
        """Whoever names a variable for a key does not mean the one that everybody has."""
        toml = '[providers.hf]\nbase_url = "http://127.0.0.1/v1"\ntoken = { env = "MINE" }\n'
        found = in_file(tmp_path, toml, {"HF_TOKEN": "hf_canary", "MINE": "mine"})
        assert found.providers["huggingface"].token == Secret("mine")
        assert found.source_of("providers.huggingface.token") == "environment MINE"
        general = {"KICKAI_PROVIDERS__HF__TOKEN": "over"}
        assert in_file(tmp_path, toml, general).providers["huggingface"].token == Secret("over")

    def test_an_instances_variable_is_written_with_underscores(self):
        """`my-tgi` is MY_TGI, and a plugin's alias means the plugin's own instance."""
        env = {"KICKAI_PROVIDERS__MY_TGI__RETRIES": "0", "KICKAI_PROVIDERS__HF__RETRIES": "1"}
        found = settings({"providers": {"my-tgi": {"kind": "hf"}}}, env)
        assert (found.providers["my-tgi"].retries, found.providers["huggingface"].retries) == (0, 1)

    def test_an_empty_variable_is_unset(self):
        """So that a line may be left in a template."""
        assert settings({}, {"KICKAI_PROVIDERS__MOCK__SEED": "", "HF_TOKEN": " "}).providers["mock"].seed == 0

    def test_a_variable_never_mends_a_broken_table(self, tmp_path):
        """Where the file has no table, the file's fault is told."""
        with pytest.raises(ConfigError) as caught:
            in_file(tmp_path, "[providers]\nhuggingface = 'canary'\n", {"HF_TOKEN": "canary"})
        assert str(caught.value) == "kickai.toml: providers.huggingface: must be a table, got a string"

    def test_a_misspelt_variable_is_a_warning(self):
        """It may be somebody else's, but it looks like one of ours; a plugin's own is none."""
        found = settings({}, {"KICKAI_FALBACK": "canary", "KICKAI_COLOUR": "1", "MOCK_SEED": "2"})
        (told,) = [str(warning) for warning in found.warnings if warning.source == "environment KICKAI_FALBACK"]
        assert told == (
            "environment KICKAI_FALBACK: unknown variable (known: AI_PROVIDER, "
            "KICKAI_PRIMARY, KICKAI_FALLBACK, KICKAI_DEADLINE_S, KICKAI_PLUGINS, KICKAI_EXPOSE_SERVICE_MESSAGES, "
            "KICKAI_CONFIG). "
            "Did you mean 'KICKAI_FALLBACK'?"
        )
        assert not any("COLOUR" in warning.source for warning in found.warnings)


class TestAllowList:
    """Which plugins may be loaded is known before any is."""

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
    def test_the_list(self, source, env, allowed):
        """Code over the environment; what cannot be read allows nothing."""
        assert read(source, env).plugins == allowed

    @pytest.mark.parametrize(("env", "allowed"), [({}, ("mock",)), ({"KICKAI_PLUGINS": "gemini"}, ("gemini",))])
    def test_the_environment_outranks_the_file(self, tmp_path, env, allowed):
        """The variable takes the place of the file's list."""
        (tmp_path / "kickai.toml").write_text('[kickai]\nplugins = ["mock"]\n')
        assert read(None, env, folder=tmp_path).plugins == allowed

    def test_a_broken_list_is_the_only_thing_told(self, tmp_path):
        """Without it no plugin is known, and that every name is unknown then is nobody's fault."""
        with pytest.raises(ConfigError) as caught:
            in_file(tmp_path, '[kickai]\nplugins = "mock"\nprimary = "mock"\n[providers.mock]\n', infos={})
        assert [problem.path for problem in caught.value.problems] == ["kickai.plugins"]


class TestNames:
    """Who is meant by a name."""

    def test_an_alias_means_the_plugins_own_instance(self):
        """In tables, in the chain, in roles and in the environment; the instance has the plugin's name."""
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
        """Without a table it has its defaults and its variables."""
        found = settings({}, {"GEMINI_API_KEY": "k"})
        assert set(found.providers) == set(INFOS)
        assert found.providers["mock"] == MockSettings()
        assert found.providers["gemini"].api_key == Secret("k")

    def test_a_plugin_that_cannot_do_without_settings_is_left_out(self, tmp_path):
        """A faulty plugin that nobody mentions is in nobody's way, and one that is mentioned says what is missing."""

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
        """It is in nobody's way: its table cannot be checked, which is told, and the chain may skip it."""
        toml = '[kickai]\nprimary = "huggingface"\n[providers.huggingface]\nxyzzy = 1\n'
        (tmp_path / "kickai.toml").write_text(toml)
        infos = {name: info for name, info in INFOS.items() if name != "huggingface"}
        found = structure(read(None, {}, folder=tmp_path), infos, broken=["huggingface"])
        assert found.kickai.primary == "huggingface"
        assert "huggingface" not in found.providers
        assert ("kickai.toml: providers.huggingface: not checked, because the plugin huggingface is broken") in map(
            str, found.warnings
        )

    def test_a_default_link_need_not_be_installed(self):
        """`local` stands in the default chain; only who names it needs it."""
        assert settings({}).kickai.fallback == ("gemini", "local")
        assert settings({}).explicit == frozenset()

    def test_an_allowed_distribution_is_to_be_installed(self):
        """The list allows it, so what is missing is the distribution."""
        with pytest.raises(ConfigError, match="pip install kickai-local"):
            settings({"kickai": {"primary": "local", "plugins": ["kickai-local", "mock"]}})

    def test_an_empty_fallback_is_a_choice(self):
        """The primary alone answers, or nobody."""
        assert settings({"kickai": {"fallback": [], "primary": "mock"}}).kickai.order == ("mock",)

    def test_nothing_installed_is_a_warning(self):
        """With nobody to ask, the first step is told."""
        (warning,) = settings({}, infos={}).warnings
        assert str(warning) == (
            "kickai.primary: none of the providers huggingface, gemini, local is installed. "
            "Run pip install kickai-hf, for example"
        )

    def test_a_plugins_setting_may_be_named_in_a_type_checkers_import(self):
        """An annotation may name the core's types although its module imports them for type checkers only."""
        class_ = frozen(kw_only=True)(
            type("Late", (ProviderSettings,), {"__annotations__": {"key": "Secret"}, "key": Secret("")})
        )
        infos = {"late": ProviderInfo(name="late", summary="", settings_class=class_)}
        assert settings({"providers": {"late": {"key": "k"}}}, infos=infos).providers["late"].key == Secret("k")

    def test_a_plugin_with_an_unknown_annotation_says_so(self):
        """Its settings cannot be read, and the plugin's class is named."""
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

    def test_a_role_is_changed_field_by_field(self, tmp_path):
        """What the table does not say stays as the catalogue has it, and each value knows its source."""
        found = in_file(tmp_path, "[roles.player_coordinator]\nmax_tokens = 50\nmodels = { gemini = ['g', 'h'] }\n")
        role, shipped = found.roles["player_coordinator"], Settings().roles["player_coordinator"]
        assert (role.max_tokens, role.temperature) == (50, 0.1)
        assert role.models == {**shipped.models, "gemini": ("g", "h")}
        assert role.planned == {}
        assert found.source_of("roles.player_coordinator.max_tokens") == "kickai.toml"
        assert found.source_of("roles.player_coordinator.temperature") == "catalogue kickai"
        assert found.source_of("roles.team_manager.models") == "catalogue kickai"

    def test_another_group_brings_its_temperature(self):
        """A role that changes its group has that group's temperature, unless it sets its own."""
        roles = {"team_manager": {"group": "creative"}, "finance_manager": {"group": "creative", "temperature": 0}}
        found = settings({"roles": roles}).roles
        assert (found["team_manager"].temperature, found["finance_manager"].temperature) == (0.7, 0.0)

    def test_a_new_role_has_the_settings_chain(self):
        """Its models are those of the instances until it names some."""
        found = settings({"kickai": {"primary": "mock", "fallback": ["gemini"]}, "roles": {"scout": {}}})
        assert found.targets_for(found.roles["scout"]) == (Target("mock"), Target("gemini"))

    def test_a_catalogue_of_ones_own(self, tmp_path):
        """Its groups, roles, default role and successors take the place of the shipped ones."""
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

    def test_a_retired_model_is_told_once(self, tmp_path):
        """However many roles ask for it; the successor is called, and the plugin's word counts, too."""
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

    def test_a_retired_model_of_nobody_is_not_told(self):
        """Without the plugin nobody asks for its models."""
        assert settings({}, infos={"mock": INFOS["mock"]}).warnings[0].path == "kickai.primary"
        assert len(settings({"kickai": {"primary": "mock"}}, infos={"mock": INFOS["mock"]}).warnings) == 0

    def test_the_same_link_twice_is_a_warning(self, tmp_path):
        """In a role's chain, under an alias too, and among the fallbacks; it is asked once."""
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

    def test_models_of_what_is_not_installed_may_be_named(self):
        """A role may say what to ask of a provider that another machine has."""
        found = settings({"roles": {"r": {"models": {"ollama": ["llama3"]}, "prefers": "local"}}})
        assert found.roles["r"].models == {"ollama": ("llama3",)}

    def test_the_preferred_provider_moves_every_role(self):
        """AI_PROVIDER alone is the rollback, for roles with a chain of their own as well."""
        found = settings({"roles": {"r": {"chain": ["hf:m"]}}}, {"AI_PROVIDER": "gemini"})
        for role in (*found.roles.values(), found.default_role):
            assert found.targets_for(role)[0].provider == "gemini"
        assert found.source_of("kickai.preferred") == "environment AI_PROVIDER"

    def test_the_shipped_catalogue_is_not_changed(self):
        """Reading settings leaves the data alone."""
        settings({"roles": {"team_manager": {"models": {"gemini": ["x"]}}}})
        assert load_built_in_catalogue().roles["team_manager"].models["gemini"] == ("gemini-1.5-flash",)


class TestPolicy:
    """[policy] and [breaker]."""

    def test_a_row_is_changed_field_by_field(self, tmp_path):
        """The other fields of the row, and the other rows, stay as they are."""
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


def test_settings_are_read_without_touching_the_process(tmp_path, monkeypatch):
    """The environment is an argument: that of the process is neither read nor changed."""
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
def test_an_instance_exposes_service_messages_as_it_says_or_as_all_do(tmp_path, toml, env, mock, gemini):
    """The value of ``[kickai]`` is the default of every instance, and an instance's own value outranks it."""
    found = in_file(tmp_path, f"{toml}\n", env)
    assert found.providers["mock"].expose_service_messages is mock
    assert found.providers["gemini"].expose_service_messages is gemini


@pytest.mark.parametrize("of_all", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_settings_in_code_expose_service_messages_when_either_says_so(of_all, own):
    """An instance with settings of its own, and one without."""
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
