"""What the usable targets of a chain have in common."""

from __future__ import annotations

from random import Random

import pytest
from attrs import evolve

from kickai_providers_core import BreakerSettings, Capability, ChatRequest, SkipReason
from kickai_providers_core.resilience.candidates import (
    UNVALIDATED,
    Candidate,
    Obstacle,
    find_common_capabilities,
    find_smallest_window,
)
from kickai_providers_core.resilience.health import Health
from kickai_providers_core.resilience.walk_context import RequestContext

TOOLS, IMAGES, SEED = Capability.TOOLS, Capability.IMAGES, Capability.SEED
NO_KEY: Obstacle = (SkipReason.NOT_CONFIGURED, "KEY")


def candidate(window: int | None, *can: Capability, obstacle: Obstacle | None = None) -> Candidate:
    """Return a target with a context window and capabilities."""
    return Candidate(
        position=0,
        provider="p",
        model="m",
        timeout_s=1.0,
        retries=0,
        context_window=window,
        capabilities=frozenset(can),
        health=Health(BreakerSettings(), Random(0)).get_target("p", "m"),
        find_obstacle=lambda: obstacle,
    )


def test_the_smallest_known_window_counts() -> None:
    """Unknown windows are left out, and so are those of targets that cannot be used."""
    known = [candidate(None), candidate(8000), candidate(4000), candidate(1000, obstacle=NO_KEY)]
    assert find_smallest_window(known) == 4000
    assert find_smallest_window(known[:1]) is None


def test_common_capabilities_are_those_of_every_usable_target() -> None:
    """A target that cannot be used does not restrict the others."""
    usable = [candidate(None, TOOLS, IMAGES), candidate(None, TOOLS, SEED)]
    assert find_common_capabilities(usable) == {TOOLS}
    assert find_common_capabilities([*usable, candidate(None, obstacle=NO_KEY)]) == {TOOLS}
    assert find_common_capabilities([*usable, candidate(None)]) == frozenset()


def test_a_target_counts_until_its_settings_are_known_to_be_unusable() -> None:
    """A target that was not validated yet may serve."""
    pair = [candidate(8000, TOOLS), candidate(4000, obstacle=UNVALIDATED)]
    assert (find_smallest_window(pair), find_common_capabilities(pair)) == (4000, frozenset())


def test_without_a_usable_target_all_count() -> None:
    """A key may be added later."""
    pair = [candidate(8000, TOOLS, obstacle=NO_KEY), candidate(4000, TOOLS, SEED, obstacle=NO_KEY)]
    assert (find_smallest_window(pair), find_common_capabilities(pair)) == (4000, {TOOLS})


@pytest.mark.parametrize("model", [None, "m"])
def test_a_target_serves_requests_for_its_own_model(model: str | None) -> None:
    """So it does those that name no model."""
    request = RequestContext(request=ChatRequest.from_prompt("Hi"), deadline_s=1.0, model=model)
    assert candidate(None).find_obstacle_for(request) is None


def test_a_target_does_not_serve_requests_for_another_model() -> None:
    """The obstacle names both models."""
    request = RequestContext(request=ChatRequest.from_prompt("Hi"), deadline_s=1.0, model="n")
    expected = (SkipReason.INCAPABLE, "its model is m, and the request names n")
    assert candidate(None).find_obstacle_for(request) == expected


def test_a_target_is_written_as_in_a_chain() -> None:
    """With its model, or as the provider alone."""
    named = candidate(None)
    assert named.target == "p:m"
    assert evolve(named, model=None).target == "p"
