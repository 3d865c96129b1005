"""Whole chains of mocks, from TOML, the environment, the names of targets, and code."""

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


def settings_of(**fields):
    """Return the settings of a resolver that knows one instance of the mock."""
    return Settings(kickai=KickaiSettings(primary="mock", fallback=()), providers={"mock": MockInCode(**fields)})


def steps(reply):
    """Return the outcome of each attempt."""
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


def test_a_file_makes_one_model_time_out_and_the_next_one_answer(toml):
    """TOML alone can show what a chain does when its first target fails."""
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
def test_the_environment_alone_can_do_the_same(env):
    """A drill needs no file."""
    env = {"KICKAI_MOCK_REPLY": "pong", "KICKAI_MOCK_SEED": "7", **env}
    with Resolver.from_settings({}, env=env) as resolver:
        reply = resolver.chain("mock:a", "mock:b").invoke("hi")

    assert reply.text == "pong"
    assert steps(reply) == FELL_BACK


def test_the_names_of_the_targets_alone_can_do_the_same():
    """On a command line, the chain is the script."""
    with Resolver.from_settings({}, env={}) as resolver:
        reply = resolver.chain("mock:rate_limited:2.5", "mock:timeout", "mock:b").invoke("hi")

    assert reply.text == "hi"
    assert [attempt.error and attempt.error.retry_after_s for attempt in reply.attempts] == [2.5, None, None]


@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        ('script = ["timeot"]', ["providers.mock.script", "unknown fault 'timeot' (did you mean 'timeout'?)"]),
        ('script = "timeout"', ["providers.mock.script", "an array"]),
        ('models.a.script = ["timeot"]', ["providers.mock.models.a.script", "did you mean 'timeout'?"]),
        ('models.a.scrip = ["timeout"]', ["providers.mock.models.a.scrip", "Did you mean 'script'"]),
        ("rates = { unavailable = 2 }", ["providers.mock.rates", "from 0 to 1"]),
        ("rates = { unavailable = true }", ["providers.mock.rates.unavailable", "a number"]),
        ('drill = "a=timeot"', ["providers.mock.drill", "did you mean 'timeout'?"]),
        ("latency_s = -1", ["providers.mock.latency_s", "got -1"]),
        ("latency_sigma = 9", ["providers.mock.latency_sigma", "got 9"]),
        ('repeat = "true"', ["providers.mock.repeat", "got 'true'"]),
        ('answer = "os:getcwd"', ["providers.mock.answer", "unknown key"]),
    ],
)
def test_the_error_of_a_wrong_value_names_file_path_and_what_is_right(toml, wrong, parts):
    """Every error in the table is found before the first call, and nothing that it names is imported."""
    with pytest.raises(ConfigError) as caught:
        Resolver.from_settings(toml(f"[providers.mock]\n{wrong}"), env={})

    assert len(caught.value.problems) == 1
    for part in ("kickai.toml", *parts):
        assert part in str(caught.value)


def test_settings_in_code_take_functions_and_lists(virtual):
    """The settings accept a function for answers, a virtual clock, and a list for the calls."""
    seen = []
    settings = settings_of(
        answer=lambda request: request.messages[0].content.upper(),
        record=seen,
        time=virtual.clockwork,
        models={"a": Behaviour(script=("silence",))},
        timeout_s=8.0,
    )
    began = virtual.now
    with Resolver.from_settings(settings, time=virtual.clockwork) as resolver:
        reply = resolver.chain("mock:a", "mock:b", temperature=0.1, max_tokens=5).invoke("hi")

    assert reply.text == "HI"
    assert [attempt.latency_s for attempt in reply.attempts] == [8.0, 0.0]
    assert virtual.now - began == 8.0
    assert [(call.model, call.request.temperature, call.request.max_tokens) for call in seen] == [
        ("a", 0.1, 5),
        ("b", 0.1, 5),
    ]


@pytest.mark.parametrize("entry", ["malformed", "empty", "cut", "invalid_reply"])
def test_an_invalid_answer_falls_back_in_every_mode(entry):
    """An answer that is not whole is never returned, not even a stream that ends too early."""
    settings = settings_of(
        models={"a": Behaviour(script=(entry,), repeat=True), "b": Behaviour(reply="pong")}, retries=0
    )

    async def call_both(chain):
        streamed = [chunk.text async for chunk in chain.astream("hi", mode="buffered")]
        return (await chain.ainvoke("hi")).text, "".join(streamed)

    with Resolver.from_settings(settings) as resolver:
        chain = resolver.chain("mock:a", "mock:b")
        assert chain.invoke("hi").text == "pong"
        assert "".join(chunk.text for chunk in chain.stream("hi", mode="buffered")) == "pong"
        assert asyncio.run(call_both(chain)) == ("pong", "pong")


def test_a_filtered_request_reaches_the_caller():
    """The chain does not send a filtered request to the next target."""
    settings = settings_of(models={"a": Behaviour(script=("content_filtered:SAFETY",))})
    with Resolver.from_settings(settings) as resolver, pytest.raises(ContentFilteredError) as caught:
        resolver.chain("mock:a", "mock:b").invoke("hi")

    assert caught.value.reason == "SAFETY"


def test_instances_behave_independently(virtual):
    """Two instances are two tables with the same kind."""
    settings = Settings(
        kickai=KickaiSettings(primary="north", fallback=()),
        providers={
            "north": MockInCode(kind="mock", script=("unavailable",), repeat=True, time=virtual.clockwork),
            "south": MockSettings(kind="fake", reply="pong"),
        },
    )
    with Resolver.from_settings(settings, time=virtual.clockwork) as resolver:
        reply = resolver.chain("north", "south").invoke("hi")
        with pytest.raises(ChainExhaustedError) as caught:
            resolver.chain("north").invoke("hi")

    assert (reply.text, reply.provider) == ("pong", "south")
    assert all(isinstance(cause, ProviderUnavailableError) for cause in caught.value.exceptions)
