"""The conformance tests find each mutant, and the right test does."""

from __future__ import annotations

import pytest
from kestrel.mutants import MUTANTS
from kestrel.run_mutants import SMOKE, find_surprises

from kickai_providers_core.testing.contract import standard_tests


def test_there_are_enough_tests_and_mutants():
    """The kit has at least 120 tests, and at least 150 mutants prove them."""
    assert len(standard_tests()) >= 120
    assert len(MUTANTS) >= 150


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_a_mutant_is_found_by_the_tests_meant_for_it(reports, mutant):
    """Each mutant fails the tests for its fault, and works otherwise."""
    failed = set(reports[mutant.name]["failed"])
    assert failed == mutant.found_by_all
    assert SMOKE not in failed


def test_most_tests_have_a_mutant():
    """At least nine of ten standard tests are meant to find a mutant."""
    found = {name for mutant in MUTANTS.values() for name in mutant.found_by_all}
    idle = sorted(set(standard_tests()) - found)
    assert len(idle) <= len(standard_tests()) / 10, idle


def test_mutants_name_tests_that_exist():
    """The mutants refer to existing standard tests."""
    named = {name for mutant in MUTANTS.values() for name in mutant.found_by_all}
    assert named <= set(standard_tests())


def test_unexpected_results_are_repeated():
    """A test is repeated when it fails unexpectedly, or when it misses its mutant."""
    assert find_surprises({"test_a": []}, {"test_a"}) == set()
    assert find_surprises({"test_b": [], "test_c": []}, {"test_a", "test_b"}) == {"test_a", "test_c"}
