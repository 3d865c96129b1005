"""Whole crews: fallback, and how a failure ends them."""

from __future__ import annotations

import pytest
from crews import KICKOFFS, agent_with, crew_of, run_crew
from kickai_providers_core import ChainExhaustedError

from kickai_crewai import KickaiCallError


@pytest.mark.parametrize("how", KICKOFFS)
def test_a_crew_falls_back(vendors, how):
    """The second vendor answers when the first one fails."""
    made = vendors("Thought: easy\nFinal Answer: five players", script=("unavailable",))
    output = run_crew(crew_of(agent_with(made.llm())), how)
    assert output.raw == "five players"
    assert [made_call.model for made_call in made.calls] == ["first", "second"]


@pytest.mark.parametrize("how", KICKOFFS)
@pytest.mark.parametrize("fault", ["rate_limited", "unavailable", "timeout"])
def test_a_failure_ends_the_crew_after_one_walk(vendors, how, fault):
    """Each target is called once, and the error of the chain reaches the caller."""
    made = vendors("never", script=(fault,), both=True)
    with pytest.raises(KickaiCallError) as raised:
        run_crew(crew_of(agent_with(made.llm())), how)
    assert [call.model for call in made.calls] == ["first", "second"]
    assert isinstance(raised.value.failure, ChainExhaustedError)
