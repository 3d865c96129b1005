"""Each failure of the kit says what was expected and what came, and a run ends with what it proved."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kickai_providers_core.testing import contract
from kickai_providers_core.testing.contract import KIT_VERSION
from kickai_providers_core.testing.contract.helpers.conformance import BADGE_VARIABLE

SUITE = """
    from heron import mutants
    from kestrel.mutants import MUTANTS
    from kestrel.plugin import plugin
    from kestrel.settings import KestrelSettings
    from kestrel.wire import KestrelWire
    from kickai_providers_core.testing import ProviderContract

    class TestOwn(ProviderContract):
        plugin = {plugin}
        wire = KestrelWire()

        def settings(self, url, key):
            return KestrelSettings(url=url, key=key)

    TestStore = mutants.Mutant0
"""


def run_kit(folder, plugin, *options, **variables):
    """Run the kit on a provider in a new process of pytest; return its output."""
    (folder / "test_own.py").write_text(textwrap.dedent(SUITE).replace("{plugin}", plugin))
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), **variables}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in [name for name in environment if name.startswith(("PYTEST_XDIST", "COV_"))]:
        del environment[name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    return done.stdout + done.stderr


def test_every_assertion_of_the_kit_has_a_message():
    """No assertion of the standard tests is bare."""
    for path in Path(contract.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.Assert) or node.msg is not None, f"{path.name}:{node.lineno}"


def test_a_failure_says_what_was_sent_expected_and_received(tmp_path):
    """A provider with a fault fails with what was sent, and what was expected, in a fresh process of pytest."""
    printed = run_kit(
        tmp_path, 'MUTANTS["DropsTheSeed"].plugin', "-k", "test_a_zero_is_sent and invoke and not ainvoke"
    )
    assert re.search(
        r"^E +AssertionError: seed=0 was not sent: .* the service received \{\"model\"", printed, re.MULTILINE
    )


def test_the_modules_of_the_kit_are_rewritten(tmp_path):
    """An assertion shows the values that it compares, also in the kit of stores, in a fresh process of pytest."""
    printed = run_kit(tmp_path, "plugin", "-k", "TestStore and batch_is_added_once")
    assert re.search(
        r"^E +AssertionError: assert \{'requests': \d+\} == \{'requests': \d+\}$", printed, re.MULTILINE
    ), printed


def test_a_part_of_the_kit_proves_nothing(tmp_path):
    """A run that leaves tests out writes no badge and does not say that the provider conforms."""
    badge = tmp_path / "badge.json"
    printed = run_kit(tmp_path, "plugin", "-k", "pickle", **{BADGE_VARIABLE: str(badge)})
    assert "plugin API" not in printed
    assert not badge.exists()


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "xdist"])
def test_a_run_says_what_it_proved(tmp_path, options):
    """A whole run prints the number of tests and the version of the kit, and writes them into a badge."""
    badge = tmp_path / "badge.json"
    printed = run_kit(
        tmp_path, 'MUTANTS["DropsTheSeed"].plugin', *options, "-k", "TestOwn", **{BADGE_VARIABLE: str(badge)}
    )
    line = re.search(
        r"^TestOwn (does not conform to plugin API 1: \d+ of \d+ tests failed, kit .*)$", printed, re.MULTILINE
    )
    assert line, printed[-2000:]
    shown = json.loads(badge.read_text())
    assert shown == {"schemaVersion": 1, "label": "kickai", "message": line[1], "color": "red"}
    assert KIT_VERSION in line[1]
