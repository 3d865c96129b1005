"""The architecture: what is public, what is imported, what modules keep, and what the distributions configure."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import kickai_providers_core
from kickai_providers_core.values import errors

ROOT = Path(__file__).parents[2]
PACKAGE = Path(kickai_providers_core.__file__).parent
MODULES = [
    module.name
    for module in pkgutil.walk_packages([str(PACKAGE)], "kickai_providers_core.")
    if ".testing" not in module.name and ".cli" not in module.name
]
ERRORS = [
    error for name in errors.__all__ if inspect.isclass(error := getattr(errors, name)) and issubclass(error, Exception)
]


def test_the_public_names_exist_and_are_sorted() -> None:
    """Whatever ``__all__`` promises can be imported, once each."""
    names = kickai_providers_core.__all__
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(kickai_providers_core, name)] == []
    assert sorted(names, key=lambda name: (name.islower(), name)) == list(names)


@pytest.mark.parametrize("name", MODULES)
def test_each_module_says_what_it_offers(name: str) -> None:
    """Every module has a docstring, and its ``__all__`` names things that exist and are documented."""
    module = importlib.import_module(name)
    assert module.__doc__
    for offered in getattr(module, "__all__", []):
        thing = getattr(module, offered)
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__ == name:
            assert thing.__doc__, f"{name}.{offered} has no docstring"


@pytest.mark.parametrize("name", MODULES)
def test_no_module_keeps_mutable_state(name: str) -> None:
    """No list, dict or set at module level is ever changed by a function of that module."""
    module = importlib.import_module(name)
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
    holders = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.List | ast.Dict | ast.Set)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    changed = {
        node.func.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.attr in {"append", "extend", "add", "update", "setdefault", "pop", "clear", "insert", "remove"}
    }
    stored = {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name)
    }
    assert not holders & (changed | stored)


FIELDS: dict[str, dict[str, Any]] = {
    "ConfigError": {"problems": [errors.Problem(path="a.b", message="wrong", hint="fix it")]},
    "UnknownProviderError": {"name": "x", "known": ["a", "b"]},
    "PluginError": {"plugin": "p", "distribution": "d"},
    "PluginLoadError": {"plugin": "p", "distribution": "d"},
    "DuplicateProviderError": {"plugin": "p", "distribution": "d"},
    "DeadlineExceededError": {"deadline_s": 1.0, "elapsed_s": 1.1},
    "ChainExhaustedError": {"exceptions": [ValueError("x")]},
    "ProviderTimeoutError": {"phase": "idle"},
    "ProviderUnavailableError": {"reached": False},
    "ContextLengthExceededError": {"limit_tokens": 7},
    "ContentFilteredError": {"reason": "SAFETY"},
    "TurnLimitError": {"max_turns": 3, "messages": ()},
}


def example(error: type[Exception]) -> Exception:
    """Return an instance with every field set."""
    fields = dict(FIELDS.get(error.__name__, {}))
    if issubclass(error, errors.ProviderError):
        sentence = {"provider": "hf", "model": "m", "status_code": 429, "request_id": "r", "retry_after_s": 2.5}
        fields = {**sentence, **fields}
    takes_message = error not in {errors.ConfigError, errors.DeadlineExceededError}
    return error("it broke", **fields) if takes_message else error(**fields)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_pickles_with_all_its_fields(error: type[Exception], protocol: int) -> None:
    """An error can cross to another process and says the same there."""
    before = example(error)
    after = pickle.loads(pickle.dumps(before, protocol))
    assert type(after) is error
    assert str(after) == str(before)
    fields = {name: value for name, value in vars(before).items() if not isinstance(value, list)}
    assert {name: getattr(after, name) for name in fields} == fields


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """The drawing has every class of the module, below its parent."""
    drawing = [
        line for line in (errors.__doc__ or "").splitlines() if "Error" in line and ("─" in line or "Kickai" in line)
    ]
    drawn: dict[int, str] = {}
    parents: dict[str, str | None] = {}
    for line in drawing:
        bare = line.lstrip(" │├└─")
        depth = len(line) - len(bare)
        name = bare.split()[0]
        parents[name] = next((drawn[level] for level in sorted(drawn, reverse=True) if level < depth), None)
        drawn = {level: above for level, above in drawn.items() if level < depth} | {depth: name}
    real = {error.__name__: next((b.__name__ for b in error.__mro__[1:] if b in ERRORS), None) for error in ERRORS}
    assert parents == real


def run(code: str) -> str:
    """Return what a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_the_core_brings_no_vendor_and_nothing_heavy() -> None:
    """No SDK, no command line, no test kit, no TOML or cattrs cost for users who pass settings in code."""
    heavy = {
        "huggingface_hub", "google.genai", "google.generativeai", "ollama", "xllamacpp", "httpx",
        "httpx2", "requests", "click", "rich", "cattrs",
        "tomllib", "dotenv", "keyring", "pytest", "hypothesis", "kickai_providers_core.testing",
        "kickai_providers_core.cli", "kickai_providers_core.config.loader",
    }  # fmt: skip
    code = (
        "import sys; from kickai_providers_core import Resolver, Settings; "
        "Resolver.from_settings(Settings()).close(); print(*sys.modules)"
    )
    assert heavy & set(run(code).split()) == set()


def test_what_few_processes_need_is_imported_when_it_is_used() -> None:
    """It takes a quarter of the import of the core. ``dir()`` lists it all the same."""
    code = (
        "import sys, kickai_providers_core as core; from kickai_providers_core import Resolver;"
        "print(any(name.split('.')[1:2] in (['config'], ['batching'], ['tool_loop']) for name in sys.modules));"
        "print({*core.__all__} <= {*dir(core)});"
        "from kickai_providers_core import *;"
        "print(all(name in globals() for name in core.__all__), Settings.__module__, ToolRun.__module__)"
    )
    package = "kickai_providers_core"
    assert run(code).split("\n")[:3] == ["False", "True", f"True {package}.config.settings {package}.tool_loop"]


def test_importing_the_core_compiles_no_comparison() -> None:
    """`Value` has one for all; attrs would compile that of each class."""
    code = (
        "import sys; from kickai_providers_core import *;"
        "print([kind.__name__ for name, module in [*sys.modules.items()] if name.startswith('kickai_providers_core')"
        " for kind in vars(module).values() if '__attrs_attrs__' in getattr(kind, '__dict__', {})"
        " and '__eq__' in vars(kind)])"
    )
    assert run(code) == "[]\n"


def test_the_log_is_silent_until_it_is_enabled() -> None:
    """An application that does not ask for the log gets none."""
    code = (
        "from loguru import logger; import sys; logger.remove(); logger.add(sys.stdout, level=0, format='{message}');"
        "from kickai_providers_core.observability.log import log_event;"
        "from kickai_providers_core.values.events import ProviderCloseFailed;"
        "event = ProviderCloseFailed(0, None, '{braces}', 'OSError'); log_event(event); print('--');"
        "logger.enable('kickai_providers_core'); log_event(event)"
    )
    assert run(code).split("\n")[:2] == ["--", "{braces}: closing it raised OSError"]


def test_no_wait_can_leave_something_locked_when_it_is_interrupted() -> None:
    """`Flag` and `SimpleQueue` wait in C; these take their locks in Python code, where Ctrl-C can arrive in between."""
    unsafe = {
        "threading": {"Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"},
        "queue": {"Queue", "LifoQueue", "PriorityQueue"},
        "concurrent.futures": {"Future", "wait", "as_completed"},
    }
    # The thread that loads a model may stay behind; ending the process of the model does not wait for it.
    known = {
        "plugins/kickai-local/src/kickai_local/server_process.py",
        "plugins/kickai-local/src/kickai_local/supervisor.py",
    }
    found = {
        path.relative_to(ROOT).as_posix()
        for path in [*ROOT.glob("src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
        if "testing" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and unsafe.get(node.module or "", set()) & {name.name for name in node.names}
    }
    assert found == known


@pytest.mark.parametrize("path", sorted(ROOT.glob("plugins/*/pyproject.toml")), ids=lambda path: path.parent.name)
def test_each_distribution_knows_the_markers_that_nox_selects_by(path: Path) -> None:
    """Pytest refuses a selection by an unknown marker, and would run no test."""
    options = tomllib.loads(path.read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert {"slow", "timing"} <= {marker.split(":")[0] for marker in options["markers"]}
    assert options["addopts"][-2:] == ["-m", "not timing"]
