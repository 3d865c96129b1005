"""Token usage: each token is counted once, or there is a warning."""

from __future__ import annotations

import asyncio
import copy
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from crews import KICKOFFS, agent_with, crew_of, run_crew
from kickai_providers_core import FinishReason, Reply, Usage

from kickai_crewai import SharedLLMWarning

DONE = "Thought: easy\nFinal Answer: Ada"
USAGE = Usage(input_tokens=10, output_tokens=5, cached_tokens=4, reasoning_tokens=2)


def counted(_request) -> Reply:
    """Answer with known token counts."""
    return Reply(text=DONE, finish_reason=FinishReason.STOP, usage=USAGE)


@pytest.mark.parametrize("how", KICKOFFS)
def test_the_usage_of_a_crew_is_the_sum_of_its_calls(vendors, how):
    """Each agent has an LLM of its own."""
    made = vendors(counted)
    output = run_crew(crew_of(*(agent_with(made.llm(), role=name) for name in "AB")), how)
    usage = output.token_usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (20, 10, 30)
    assert (usage.cached_prompt_tokens, usage.reasoning_tokens, usage.successful_requests) == (8, 4, 2)


def test_a_request_without_figures_is_counted(vendors, call):
    """A provider may report no usage."""
    llm = vendors(lambda _request: Reply(text="hi", finish_reason=FinishReason.STOP)).llm()
    call(llm, "hi")
    usage = llm.get_token_usage_summary()
    assert (usage.successful_requests, usage.total_tokens) == (1, 0)


def test_concurrent_calls_are_all_counted(vendors):
    """An LLM may be called from several threads."""
    llm = vendors(counted).llm()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: llm.call("hi"), range(200)))
    assert llm.get_token_usage_summary().total_tokens == 3000


@pytest.mark.parametrize("how", KICKOFFS)
def test_two_agents_that_share_an_llm_get_a_warning(vendors, how):
    """CrewAI sums up over agents, so the figures are too high by the shared part."""
    llm = vendors(counted).llm()
    crew = crew_of(*(agent_with(llm, role=name) for name in "ABC"))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", SharedLLMWarning)
        output = run_crew(crew, how)
    (warning,) = warned
    assert "'A' and 'B' share one KickaiLLM" in str(warning.message)
    assert output.token_usage.total_tokens == 3 * 3 * 15


def test_agents_of_different_crews_may_share_an_llm(vendors):
    """Nothing is counted twice within a crew, but the counts of an LLM are those of its lifetime."""
    llm = vendors(counted).llm()
    crews = [crew_of(agent_with(llm, role=name)) for name in "AB"]
    assert [run_crew(crew, "kickoff").token_usage.total_tokens for crew in crews] == [15, 30]


def test_a_copy_of_a_crew_counts_from_zero(vendors):
    """``kickoff_for_each`` copies the crew for each input, with the LLMs."""
    llm = vendors(counted).llm()
    crew = crew_of(agent_with(llm))
    outputs = crew.kickoff_for_each([{}, {}, {}])
    assert [output.token_usage.total_tokens for output in outputs] == [15, 15, 15]
    assert crew.usage_metrics.total_tokens == 45
    assert llm.get_token_usage_summary().total_tokens == 0


@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy, lambda llm: llm.model_copy()])
def test_a_copy_shares_the_chain_only(vendors, make_copy):
    """It counts its own tokens, and has agents of its own."""
    llm = vendors(counted).llm(temperature=0.4)
    llm.call("hi")
    other = make_copy(llm)
    other.call("hi")
    other.call("hi")
    assert (other.chain, other.role, other.temperature) == (llm.chain, llm.role, 0.4)
    totals = [each.get_token_usage_summary().total_tokens for each in (llm, other)]
    assert totals == [15, 30]


def test_crews_run_at_the_same_time(vendors):
    """Ten crews on one resolver, each with its own figures and without a warning."""
    made = vendors(counted, script=("ok", "unavailable", "ok"))
    crews = [crew_of(*(agent_with(made.llm(), role=name) for name in "AB")) for _ in range(10)]

    async def run() -> list[int]:
        outputs = await asyncio.gather(*(crew.akickoff() for crew in crews))
        return [output.token_usage.total_tokens for output in outputs]

    with warnings.catch_warnings():
        warnings.simplefilter("error", SharedLLMWarning)
        assert asyncio.run(run()) == [30] * 10
