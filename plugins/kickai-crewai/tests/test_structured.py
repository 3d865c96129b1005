"""Structured answers: a class goes in, and an object comes back."""

from __future__ import annotations

import pytest
from crews import KICKOFFS, agent_with, crew_of, run_crew
from kickai_providers_core import ChainExhaustedError, InvalidReplyError
from pydantic import BaseModel, Field, field_validator

from kickai_crewai import KickaiCallError


class Squad(BaseModel):
    """The players of a day."""

    day: str
    players: list[str] = Field(min_length=1)

    @field_validator("day")
    @classmethod
    def _is_a_day(cls, day: str) -> str:
        if not day.endswith("day"):
            message = "not a day"
            raise ValueError(message)
        return day


GOOD = '{"day": "Sunday", "players": ["Ada"]}'


def test_the_schema_goes_out_and_the_object_comes_back(vendors, call):
    """Every target of the chain takes a schema."""
    made = vendors(GOOD)
    assert call(made.llm(), "Who?", response_model=Squad) == Squad(day="Sunday", players=["Ada"])
    (request,) = made.requests
    assert set(request.json_schema["properties"]) == {"day", "players"}
    assert len(request.messages) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("misfit", ['{"day": "Sunday", "players": []}', '{"day": "Mars", "players": ["Ada"]}'])
def test_an_answer_that_does_not_fit_falls_back(vendors, call, misfit, stream):
    """The second target may do better. The class checks more than its schema says."""
    made = vendors(lambda request: GOOD if request.model == "second" else misfit)
    llm = made.llm(stream=stream, stream_mode="buffered")
    assert call(llm, "Who?", response_model=Squad).players == ["Ada"]
    assert [each.model for each in made.calls] == ["first", "second"]


def test_the_schema_becomes_part_of_the_prompt_where_a_target_takes_none(vendors, call):
    """The chain keeps all its targets, and text around the object is ignored."""
    made = vendors(f"Here it is:\n```json\n{GOOD}\n```", without_tools=True)
    assert call(made.llm(), "Who?", response_model=Squad) == Squad(day="Sunday", players=["Ada"])
    (request,) = made.requests
    assert request.json_schema is None
    assert '"players"' in request.messages[-1].content


@pytest.mark.parametrize("without_tools", [False, True])
@pytest.mark.parametrize("answer", ['{"day": "Mars", "players": ["Ada"]}', "secret words", '{"players": "secret"'])
def test_an_answer_that_does_not_fit_is_an_error_without_its_text(vendors, call, answer, without_tools):
    """CrewAI would otherwise go on with a text where the application expects an object."""
    made = vendors(answer, without_tools=without_tools)
    with pytest.raises(KickaiCallError, match="does not fit Squad") as raised:
        call(made.llm(), "Who?", response_model=Squad)
    failure = raised.value.failure
    assert isinstance(failure, InvalidReplyError if without_tools else ChainExhaustedError)
    assert not [word for word in ("Mars", "secret") if word in str(raised.value)]
    assert failure.__cause__ is None


@pytest.mark.parametrize("how", KICKOFFS)
def test_a_task_returns_an_object(vendors, how):
    """``output_pydantic`` needs one call."""
    made = vendors(GOOD)
    output = run_crew(crew_of(agent_with(made.llm()), output_pydantic=Squad), how)
    assert output.pydantic == Squad(day="Sunday", players=["Ada"])
    assert len(made.calls) == 1


def test_a_task_returns_json(vendors):
    """``output_json`` works in the same way."""
    made = vendors(GOOD)
    output = run_crew(crew_of(agent_with(made.llm()), output_json=Squad), "kickoff")
    assert output.json_dict == {"day": "Sunday", "players": ["Ada"]}


@pytest.mark.parametrize("without_tools", [False, True])
def test_a_guardrail_in_words_costs_one_call(vendors, without_tools):
    """CrewAI asks the agent's LLM whether the output passes."""

    def answer(request) -> str:
        asks = "guardrail" in "".join(message.content for message in request.messages).lower()
        verdict = '{"valid": true, "feedback": null}'
        return verdict if asks else "Thought: easy\nFinal Answer: Ada"

    made = vendors(answer, without_tools=without_tools)
    output = run_crew(crew_of(agent_with(made.llm()), guardrail="It names a player."), "kickoff")
    assert output.raw == "Ada"
    assert len(made.calls) == 2


def test_a_guardrail_function_has_the_task_repeated(vendors):
    """A rejected output is not a failure of the LLM: CrewAI asks again, and says why."""

    def answer(request) -> str:
        asked_again = "too few" in request.messages[-1].content
        return f"Thought: easy\nFinal Answer: {'Ada and Bo' if asked_again else 'Ada'}"

    made = vendors(answer)
    crew = crew_of(
        agent_with(made.llm()), guardrail=lambda out: (True, out.raw) if "and" in out.raw else (False, "too few")
    )
    assert run_crew(crew, "kickoff").raw == "Ada and Bo"
    assert len(made.calls) == 2
