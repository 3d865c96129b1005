"""What a subclass of the contract may change, and what it may not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kickai_providers_core.plugin_api.hookspecs import hookimpl
from kickai_providers_core.testing import ProviderContract, contract
from kickai_providers_core.testing.contract.helpers.harness import PluginHooks
from kickai_providers_core.testing.strategies import LEAVES
from kickai_providers_core.values import errors


def test_a_standard_test_cannot_be_overridden():
    """A subclass that defines one cannot be created, and the message names the test."""
    with pytest.raises(TypeError, match=r"Own\.test_401_is_an_authentication_error must not be .*expected_failures"):

        class Own(ProviderContract):
            def test_401_is_an_authentication_error(self):
                """Check nothing."""


def test_a_standard_test_cannot_be_removed():
    """Neither None in its place nor another base class that hides it is accepted."""
    with pytest.raises(TypeError, match="test_errors_pickle"):
        type("Own", (ProviderContract,), {"test_errors_pickle": None})
    hiding = type("Hiding", (), {"test_errors_pickle": lambda self: None})
    with pytest.raises(TypeError, match="test_errors_pickle"):
        type("Own", (hiding, ProviderContract), {})


def test_the_fixtures_cannot_be_overridden():
    """The fixtures of the standard tests are as fixed as the tests."""
    with pytest.raises(TypeError, match="harness"):
        type("Own", (ProviderContract,), {"harness": lambda self: None})


def test_own_tests_may_be_added():
    """A subclass may have other tests in addition to the standard ones."""
    assert type("Own", (ProviderContract,), {"test_another": lambda self: None}).test_another


def test_an_expected_failure_needs_a_test_and_a_reason():
    """A misspelt name is an error that suggests the nearest one, and an empty reason is an error."""
    with pytest.raises(TypeError, match="did you mean test_errors_pickle"):
        type("Own", (ProviderContract,), {"expected_failures": {"test_errors_pickl": "it does not"}})
    with pytest.raises(TypeError, match="has no reason"):
        type("Own", (ProviderContract,), {"expected_failures": {"test_errors_pickle[invoke]": " "}})


def test_hooks_of_a_plugin_that_discovery_rejects_fail():
    """A broken plugin fails with the message of discovery."""

    class Misspelt:
        @hookimpl
        def kickai_provider_inof(self):
            """Return nothing."""

    with pytest.raises(pytest.fail.Exception, match="did you mean kickai_provider_info"):
        PluginHooks.from_plugin(Misspelt())


SUITE = """
    import pytest
    from kestrel.mutants import MUTANTS
    from kestrel.settings import KestrelSettings
    from kestrel.wire import KestrelWire
    from kickai_providers_core.testing import ProviderContract

    class TestOwn(ProviderContract):
        plugin = MUTANTS["UnpicklableError"].plugin
        wire = KestrelWire()
        expected_failures = {expected}

        def settings(self, url, key):
            return KestrelSettings(url=url, key=key)
"""


def run_pickle_tests(tmp_path, expected):
    """Run two tests of a provider whose errors do not pickle; return the last line of pytest."""
    suite = textwrap.dedent(SUITE).replace("{expected}", repr(expected))
    (tmp_path / "test_own.py").write_text(suite)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "pickle", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    return re.sub(r", \d+ deselected.*", "", done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        ({}, "4 failed, 5 passed"),
        ({"test_errors_pickle": "a lock"}, "5 passed"),
        ({"test_errors_pickle[stream]": "a lock"}, "3 failed, 5 passed"),
        ({"test_errors_pickle": "a lock", "test_answers_pickle": "nothing"}, "4 failed, 1 passed"),
    ],
    ids=["none", "all modes", "one mode", "passes"],
)
def test_an_expected_failure_must_fail(tmp_path, expected, line):
    """A test in expected_failures, with or without its parameters, must fail: if it passes, that is an error."""
    assert run_pickle_tests(tmp_path, expected) == line


def test_every_error_class_has_a_test():
    """Each error class that a plugin can raise is expected by name in a standard test."""
    expected_names = set()
    for path in Path(contract.__file__).parent.rglob("*.py"):
        for call in re.findall(r"\.raises\(([^)]*)\)", path.read_text(encoding="utf-8")):
            expected_names.update(re.findall(r"\w+", call))
    leaves = {kind.__name__ for kind in LEAVES}
    assert leaves <= expected_names
    assert leaves == {kind.__name__ for kind in map(vars(errors).get, errors.__all__) if is_leaf(kind)}


def is_leaf(kind):
    """Return whether a class is a provider error without subclasses in the exception tree."""
    if not isinstance(kind, type) or not issubclass(kind, errors.ProviderError):
        return False
    known = [vars(errors)[name] for name in errors.__all__]
    return not any(issubclass(other, kind) and other is not kind for other in known if isinstance(other, type))
