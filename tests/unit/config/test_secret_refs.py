"""API keys: they arrive from every place where they can be set, and are never shown."""

from __future__ import annotations

import copy
import pickle
import sys
import traceback

import pytest
from known_plugins import INFOS
from loguru import logger

from kickai_providers_core import ConfigError, Secret
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.sources import read

CANARY = "sk-canary-0123456789"


class Keyring:
    """A keyring with one entry."""

    def __init__(self, value=CANARY):
        self.value = value
        self.requests = []

    def get_password(self, service, username):
        """Return the one entry, for every name."""
        self.requests.append((service, username))
        return self.value


class BrokenKeyring:
    """A keyring that cannot be opened."""

    def get_password(self, service, username):
        """Fail, with the secret in the message as a careless backend might."""
        raise RuntimeError(CANARY)


def build_toml(value):
    """Return settings with a secret in a field, an optional field, an array and a table."""
    return f"""
        [providers.huggingface]
        token = {value}
        [providers.gemini]
        api_key = {value}
        spare_keys = [{value}, {value}]
        keys_by_project = {{ a = {value} }}
    """


def reveal_keys(settings):
    """Return the keys of these settings."""
    gemini = settings.providers["gemini"]
    secrets = (
        settings.providers["huggingface"].token,
        gemini.api_key,
        *gemini.spare_keys,
        *gemini.keys_by_project.values(),
    )
    return [secret.reveal() for secret in secrets]


def format_settings(settings):
    """Return everything that settings can show."""
    return "\n".join(
        [
            repr(settings),
            str(settings),
            *map(repr, settings.providers.values()),
            *map(str, settings.warnings),
            *map(repr, settings.warnings),
            repr(settings.sources),
            repr(copy.copy(settings)),
        ]
    )


PLACES = {
    "in the file": (f'"{CANARY}"', {}, "", "kickai.toml"),
    "by a variable": ('{ env = "MY_KEY" }', {"MY_KEY": f" {CANARY}\n"}, "", "environment MY_KEY"),
    "by the .env": ('{ env = "MY_KEY" }', {}, f"MY_KEY={CANARY}\n", "environment MY_KEY"),
    "by the keyring": ('{ keyring = "kickai/me" }', {}, "", "keyring kickai/me"),
    "by a file": ('{ file = "my.key" }', {}, "", "file my.key"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_key_from_any_source_arrives_and_is_not_shown(tmp_path, place):
    """In a field, an optional field, an array and a table."""
    value, env, dotenv, source = PLACES[place]
    (tmp_path / "kickai.toml").write_text(build_toml(value))
    (tmp_path / "my.key").write_text(f"{CANARY}\n")
    (tmp_path / ".env").write_text(dotenv)
    document = read(None, env, folder=tmp_path)
    settings = structure(document, INFOS, keyring=Keyring())
    assert reveal_keys(settings) == [CANARY] * 5
    assert CANARY not in format_settings(settings) + repr(document)
    assert settings.source_of("providers.huggingface.token") == source
    assert_not_pickled(settings)
    assert_not_pickled(document)


@pytest.mark.parametrize(
    ("source", "env"),
    [
        ({}, {"HUGGINGFACE_API_TOKEN": CANARY}),
        ({}, {"HF_TOKEN": f"{CANARY}\n"}),
        ({}, {"KICKAI_PROVIDERS__HF__TOKEN": CANARY}),
        ({"providers": {"hf": {"token": CANARY}}}, {}),
        ({"providers": {"hf": {"token": Secret(CANARY)}}}, {}),
        ({"providers": {"huggingface": {"token": {"env": "K"}}}}, {"K": CANARY}),
    ],
)
def test_a_key_from_code_or_a_variable_arrives_and_is_not_shown(source, env):
    """There is no warning, since it is not in a file."""
    document = read(source, env)
    settings = structure(document, INFOS)
    assert settings.providers["huggingface"].token == Secret(CANARY)
    assert CANARY not in format_settings(settings) + repr(document)
    assert not any(warning.path.startswith("providers") for warning in settings.warnings)
    assert_not_pickled(settings)


def assert_not_pickled(value):
    """Assert that a value that may hold keys cannot be pickled."""
    with pytest.raises(TypeError) as caught:
        pickle.dumps(value)
    assert CANARY not in str(caught.value)


def test_settings_without_keys_can_be_copied_and_pickled():
    """They are equal to the original."""
    settings = structure(read({}, {}), {"mock": INFOS["mock"]})
    assert copy.deepcopy(settings) == settings
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_settings_with_keys_can_be_copied(copied):
    """The copy cannot be pickled either."""
    settings = structure(read({"providers": {"hf": {"token": CANARY}}}, {}), INFOS)
    same = copied({"settings": settings, "secret": Secret(CANARY)})
    assert same["settings"] == settings
    assert same["settings"].providers["huggingface"].token.reveal() == CANARY
    assert same["secret"] == Secret(CANARY)
    assert CANARY not in repr(same)
    assert_not_pickled(same)


def test_every_key_in_the_file_is_a_warning(tmp_path):
    """It works; the warning is there even if the environment replaces the key."""
    (tmp_path / "kickai.toml").write_text(build_toml(f'"{CANARY}"'))
    settings = structure(read(None, {"HF_TOKEN": "other"}, folder=tmp_path), INFOS)
    assert settings.providers["huggingface"].token == Secret("other")
    warnings = [warning for warning in settings.warnings if "the key itself" in warning.message]
    assert [warning.path for warning in warnings] == [
        "providers.huggingface.token",
        "providers.gemini.api_key",
        "providers.gemini.spare_keys[0]",
        "providers.gemini.spare_keys[1]",
        "providers.gemini.keys_by_project.a",
    ]
    assert str(warnings[0]) == (
        "kickai.toml: providers.huggingface.token: the key itself is in the file. "
        'Use a reference such as { env = "NAME" }'
    )
    assert {warning.severity for warning in warnings} == {"warning"}


def test_an_empty_key_in_the_file_is_ignored(tmp_path):
    """A template may contain it."""
    (tmp_path / "kickai.toml").write_text('[kickai]\nprimary = "hf"\n[providers.hf]\ntoken = ""\n')
    settings = structure(read(None, {}, folder=tmp_path), {"huggingface": INFOS["huggingface"]})
    assert not settings.providers["huggingface"].token
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("reference", "keyring", "missing", "message"),
    [
        (
            '{ env = "MY_KEY" }',
            None,
            "MY_KEY",
            "the variable MY_KEY is not set",
        ),
        (
            '{ keyring = "kickai/me" }',
            Keyring(None),
            "keyring kickai/me",
            "the keyring has no entry kickai/me",
        ),
    ],
)
def test_a_reference_without_a_value_is_a_warning(tmp_path, reference, keyring, missing, message):
    """The provider is not configured, and the warning names what is missing."""
    (tmp_path / "kickai.toml").write_text(f"[providers.hf]\ntoken = {reference}\n")
    settings = structure(read(None, {}, folder=tmp_path), INFOS, keyring=keyring)
    assert not settings.providers["huggingface"].token
    warning = next(warning for warning in settings.warnings if warning.missing)
    assert (warning.path, warning.missing, warning.message) == ("providers.hf.token", missing, message)


def test_a_keyring_entry_has_a_service_and_a_user_name():
    """The user name is everything after the first slash."""
    keyring = Keyring()
    structure(read({"providers": {"hf": {"token": {"keyring": "kickai/team/me"}}}}, {}), INFOS, keyring=keyring)
    assert keyring.requests == [("kickai", "team/me")]


@pytest.mark.parametrize("place", ["/kickai", "kickai/", "kickai"])
def test_a_keyring_entry_without_service_or_user_name_is_an_error(place):
    """The message shows the form."""
    with pytest.raises(ConfigError, match="must be 'service/username'"):
        structure(read({"providers": {"hf": {"token": {"keyring": place}}}}, {}), INFOS, keyring=Keyring())


def test_a_keyring_that_fails_is_an_error_without_its_message():
    """The message of a backend may contain anything."""
    with pytest.raises(ConfigError) as caught:
        structure(read({"providers": {"hf": {"token": {"keyring": "kickai/me"}}}}, {}), INFOS, keyring=BrokenKeyring())
    assert str(caught.value) == (
        "code: providers.hf.token.keyring: the keyring failed to return 'kickai/me' (RuntimeError)"
    )
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_without_the_keyring_package_the_error_names_the_extra(monkeypatch):
    """It is imported when a reference needs it."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigError) as caught:
        structure(read({"providers": {"hf": {"token": {"keyring": "kickai/me"}}}}, {}), INFOS)
    assert str(caught.value) == (
        "code: providers.hf.token.keyring: the keyring package is not installed. "
        "Run pip install 'kickai-providers-core[keyring]'"
    )


def test_the_keyring_package_is_the_default_backend(monkeypatch):
    """It is used when no other one is given."""
    monkeypatch.setitem(sys.modules, "keyring", Keyring())
    settings = structure(read({"providers": {"hf": {"token": {"keyring": "kickai/me"}}}}, {}), INFOS)
    assert settings.providers["huggingface"].token == Secret(CANARY)


def test_the_path_of_a_secret_file_is_relative_to_the_settings_file(tmp_path):
    """It does not depend on the working directory."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "my.key").write_text(CANARY)
    (tmp_path / "conf" / "kickai.toml").write_text('[providers.hf]\ntoken = { file = "my.key" }\n')
    settings = structure(read("conf/kickai.toml", {}, folder=tmp_path), INFOS)
    assert settings.providers["huggingface"].token == Secret(CANARY)


MISTAKES = {
    "a number": "token = 12345678987654321",
    "an array": f'token = ["{CANARY}"]',
    "a table": f'token = {{ value = "{CANARY}" }}',
    "a reference in a reference": f'token = {{ env = {{ value = "{CANARY}" }} }}',
    "a misspelled key": f'tokn = "{CANARY}"',
    "a table too high": f'[providers]\nhuggingface = "{CANARY}"',
    "an array too high": f'[providers]\nhuggingface = ["{CANARY}"]',
    "a section": f'[kickai]\ntoken = "{CANARY}"',
    "a whole section": f'kickai = "{CANARY}"',
    "a wrong type elsewhere": f'token = "{CANARY}"\ntimeout_s = "ten"',
    "no quotes": f"token = {CANARY}",
    "one quote": f'token = "{CANARY}',
    "a number elsewhere": f'retries = "{CANARY}{CANARY}"',
    "an array of arrays": f'[providers.gemini]\nspare_keys = [["{CANARY}"]]',
    "no array": f'[providers.gemini]\nspare_keys = "{CANARY}"',
    "no table": f'[providers.gemini]\nkeys_by_project = "{CANARY}"',
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_error_about_a_key_does_not_show_it(tmp_path, mistake):
    """Not in the message, a pickle, a traceback with local variables, or a log with diagnosis."""
    toml = MISTAKES[mistake]
    toml = toml if toml.startswith(("[", "kickai")) else f"[providers.huggingface]\n{toml}"
    (tmp_path / "kickai.toml").write_text(f"{toml}\n")
    (tmp_path / ".env").write_text(f"GOOGLE_API_KEY={CANARY}\n")
    lines = []
    handler = logger.add(lines.append, diagnose=True, backtrace=True, format="{message}")
    try:
        structure(read(None, {}, folder=tmp_path), INFOS)
    except ConfigError as error:
        logger.exception("settings")
        caught = error
    finally:
        logger.remove(handler)
    frames = "".join(traceback.format_exception(caught))
    output = [str(caught), repr(caught), repr(caught.problems), frames, *lines]
    assert CANARY not in "\n".join(output)
    assert "12345678987654321" not in "\n".join(output)
    assert CANARY.encode() not in pickle.dumps(caught)
    assert lines


def test_no_local_variable_of_a_traceback_holds_a_key(tmp_path):
    """The environment that the caller passes is the exception."""
    (tmp_path / "kickai.toml").write_text(f'[providers.huggingface]\ntoken = "{CANARY}"\nxyzzy = 1\n')
    with pytest.raises(ConfigError) as caught:
        structure(read(None, {"HF_TOKEN": CANARY}, folder=tmp_path), INFOS)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in frames.stack if "kickai_providers_core" in frame.filename]
    assert ours
    assert all(CANARY not in str(frame.locals) for frame in ours)


@pytest.mark.parametrize("form", ["env", "file", "keyring"])
def test_a_key_in_place_of_a_name_is_not_quoted(form):
    """Neither errors nor sources and warnings quote text that does not look like a name."""
    pasted = "hf_canaryCANARYcanary7"
    try:
        settings = structure(read({"providers": {"hf": {"token": {form: pasted}}}}, {}), INFOS)
        output = f"{settings!r} {settings.warnings} {settings.sources}"
    except ConfigError as error:
        output = str(error)
    assert "canary" not in output.lower()
