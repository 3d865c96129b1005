"""Whole chains over the mock, from TOML, from the environment, from the names of targets and from code."""

import asyncio

import pytest
from kickai_providers_core import (
    ChainExhaustedError,
    ConfigError,
    ContentFilteredError,
    KickaiSettings,
    Outcome,
    ProviderTimeoutError,
    ProviderUnavailableError,
    Resolver,
    Settings,
)

from kickai_mock import Behaviour, MockInCode, MockSettings

A_TIMES_OUT_B_ANSWERS = """
    [providers.mock]
    reply = "pong"
    seed = 7

    [providers.mock.models.a]
    script = ["timeout"]

    [providers.mock.models.b]
    latency_s = 0.02
    rates = { unavailable = 0.0, "rate_limited:2.5" = 0.0 }
"""


def settings_of(**told):
    """Return the settings of a resolver that knows one instance of the mock."""
    return Settings(kickai=KickaiSettings(primary="mock", fallback=()), providers={"mock": MockInCode(**told)})


def steps(reply):
    """Return what became of each attempt."""
    return [(attempt.target, attempt.outcome, type(attempt.error)) for attempt in reply.attempts]


FELL_BACK = [
    ("mock:a", Outcome.ERROR, ProviderTimeoutError),
    ("mock:b", Outcome.SUCCESS, type(None)),
]


@pytest.fixture
def toml(tmp_path):
    """Write a settings file and return its path."""

    def write(text):
        path = tmp_path / "kickai.toml"
        path.write_text(text)
        return path

    return write


def test_a_file_says_that_one_model_times_out_and_the_next_answers(toml):
    """What a chain does when its first target fails can be shown with nothing but TOML."""
    with Resolver.from_settings(toml(A_TIMES_OUT_B_ANSWERS), env={}) as resolver:
        reply = resolver.chain("mock:a", "mock:b").invoke("hi")

    assert (reply.text, reply.model, reply.fell_back) == ("pong", "b", True)
    assert steps(reply) == FELL_BACK


@pytest.mark.parametrize(
    "env",
    [
        {"KICKAI_MOCK_DRILL": "a=timeout"},
        {"KICKAI_MOCK_DRILL": "timeout; b=ok"},
        {"KICKAI_PROVIDERS__MOCK__MODELS__A__SCRIPT": "timeout"},
        {"KICKAI_PROVIDERS__MOCK__DRILL": "a=timeout,ok"},
    ],
)
def test_the_environment_alone_says_the_same(env):
    """A drill needs no file."""
    env = {"KICKAI_MOCK_REPLY": "pong", "KICKAI_MOCK_SEED": "7", **env}
    with Resolver.from_settings({}, env=env) as resolver:
        reply = resolver.chain("mock:a", "mock:b").invoke("hi")

    assert reply.text == "pong"
    assert steps(reply) == FELL_BACK


def test_the_names_of_the_targets_alone_say_the_same():
    """On a command line, the chain itself is the script."""
    with Resolver.from_settings({}, env={}) as resolver:
        reply = resolver.chain("mock:rate_limited:2.5", "mock:timeout", "mock:b").invoke("hi")

    assert reply.text == "hi"
    assert [attempt.error and attempt.error.retry_after_s for attempt in reply.attempts] == [2.5, None, None]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ('script = ["timeot"]', ["providers.mock.script", "'timeot' is no fault; the nearest is 'timeout'"]),
        ('script = "timeout"', ["providers.mock.script", "an array"]),
        ('models.a.script = ["timeot"]', ["providers.mock.models.a.script", "nearest is 'timeout'"]),
        ('models.a.scrip = ["timeout"]', ["providers.mock.models.a.scrip", "Did you mean 'script'"]),
        ("rates = { unavailable = 2 }", ["providers.mock.rates", "from 0 to 1"]),
        ("rates = { unavailable = true }", ["providers.mock.rates.unavailable", "a number"]),
        ('drill = "a=timeot"', ["providers.mock.drill", "nearest is 'timeout'"]),
        ("latency_s = -1", ["providers.mock.latency_s", "found -1"]),
        ("latency_sigma = 9", ["providers.mock.latency_sigma", "found 9"]),
        ('repeat = "true"', ["providers.mock.repeat", "found 'true'"]),
        ('answer = "os:getcwd"', ["providers.mock.answer", "unknown key"]),
    ],
)
def test_a_wrong_value_is_told_with_file_path_and_what_would_be_right(toml, wrong, told):
    """Every mistake in the table of the mock is found before the first call, and nothing named in it is imported."""
    with pytest.raises(ConfigError) as caught:
        Resolver.from_settings(toml(f"[providers.mock]\n{wrong}"), env={})

    assert len(caught.value.problems) == 1
    for part in ("kickai.toml", *told):
        assert part in str(caught.value)


def test_settings_in_code_take_what_only_code_can_give(virtual):
    """A computed answer, a virtual clock and a list for the calls go in with the settings."""
    seen = []
    told = settings_of(
        answer=lambda request: request.messages[0].content.upper(),
        record=seen,
        time=virtual.clockwork,
        models={"a": Behaviour(script=("silence",))},
        timeout_s=8.0,
    )
    began = virtual.now
    with Resolver.from_settings(told, time=virtual.clockwork) as resolver:
        reply = resolver.chain("mock:a", "mock:b", temperature=0.1, max_tokens=5).invoke("hi")

    assert reply.text == "HI"
    assert [attempt.latency_s for attempt in reply.attempts] == [8.0, 0.0]
    assert virtual.now - began == 8.0
    assert [(call.model, call.request.temperature, call.request.max_tokens) for call in seen] == [
        ("a", 0.1, 5),
        ("b", 0.1, 5),
    ]


@pytest.mark.parametrize("entry", ["malformed", "empty", "cut", "invalid_reply"])
def test_an_answer_that_is_none_falls_back_in_every_mode(entry):
    """What is no whole answer never passes for one, not even a stream that only ends too early."""
    told = settings_of(models={"a": Behaviour(script=(entry,), repeat=True), "b": Behaviour(reply="pong")}, retries=0)

    async def ask_both(chain):
        streamed = [chunk.text async for chunk in chain.astream("hi", mode="buffered")]
        return (await chain.ainvoke("hi")).text, "".join(streamed)

    with Resolver.from_settings(told) as resolver:
        chain = resolver.chain("mock:a", "mock:b")
        assert chain.invoke("hi").text == "pong"
        assert "".join(chunk.text for chunk in chain.stream("hi", mode="buffered")) == "pong"
        assert asyncio.run(ask_both(chain)) == ("pong", "pong")


def test_a_refusal_reaches_the_caller():
    """A filtered request is not routed around."""
    told = settings_of(models={"a": Behaviour(script=("content_filtered:SAFETY",))})
    with Resolver.from_settings(told) as resolver, pytest.raises(ContentFilteredError) as caught:
        resolver.chain("mock:a", "mock:b").invoke("hi")

    assert caught.value.reason == "SAFETY"


def test_several_instances_each_behave_on_their_own(virtual):
    """Two accounts of one service are two tables with the same kind."""
    told = Settings(
        kickai=KickaiSettings(primary="north", fallback=()),
        providers={
            "north": MockInCode(kind="mock", script=("unavailable",), repeat=True, time=virtual.clockwork),
            "south": MockSettings(kind="fake", reply="pong"),
        },
    )
    with Resolver.from_settings(told, time=virtual.clockwork) as resolver:
        reply = resolver.chain("north", "south").invoke("hi")
        with pytest.raises(ChainExhaustedError) as caught:
            resolver.chain("north").invoke("hi")

    assert (reply.text, reply.provider) == ("pong", "south")
    assert all(isinstance(cause, ProviderUnavailableError) for cause in caught.value.exceptions)
