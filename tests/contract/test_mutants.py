"""The conformance tests find what is wrong with a provider, and say which thing it is."""

from __future__ import annotations

import pytest
from kestrel.wrong import MUTANTS

from kickai_providers_core.plugin_api import hookspecs
from kickai_providers_core.testing.contract import standard_tests

pytestmark = pytest.mark.slow


def test_there_are_enough_tests_and_mutants():
    """The kit keeps its size: at least 60 tests, and 20 wrong providers."""
    assert len(standard_tests()) >= 60
    assert len(MUTANTS) >= 20


def test_the_good_provider_fails_nothing(reports):
    """What the mutants are made of is right."""
    assert reports["good"]["failed"] == {}
    assert reports["good"]["count"] > 500


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_a_mutant_is_found_by_the_test_meant_for_it(reports, mutant):
    """Each wrong provider fails the test that is there for its fault, and no other but those that must see it too."""
    failed = set(reports[mutant.name]["failed"])
    assert mutant.found_by in failed
    assert failed - {mutant.found_by} <= mutant.also


def test_most_tests_have_a_mutant(reports):
    """Of the standard tests at least two thirds have been seen to fail for a reason."""
    seen = {name for report in reports.values() for name in report["failed"]}
    assert len(seen) >= len(standard_tests()) * 2 / 3


def test_every_hook_is_called_by_a_test(reports):
    """No hook of the seam is left untested."""
    called = {name for names in reports["good"]["called"].values() for name in names}
    assert {name for name in vars(hookspecs) if name.startswith("kickai_")} <= called


def test_mutants_name_tests_that_exist():
    """The table of mutants names standard tests."""
    named = {name for mutant in MUTANTS.values() for name in (mutant.found_by, *mutant.also)}
    assert named <= set(standard_tests())
