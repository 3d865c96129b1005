"""Latencies, scripts, faults and rates, in each of the four modes, on a virtual clock."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kickai_providers_core import (
    FinishReason,
    InvalidReplyError,
    ModelNotFoundError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    Reply,
    ReplyChunk,
)

from kickai_mock import KINDS, Behaviour

STREAMS = ("stream", "astream")
ERRORS = [name for name, kind in KINDS.items() if kind.error]


def outcomes(outcome, mode, mock, count, **fields):
    """Return the outcome of the next calls: a text, or the class of an error."""
    ended = [outcome(mode, mock, **fields) for _ in range(count)]
    return [type(one.error) if one.error else one.text for one in ended]


def test_without_a_latency_no_time_passes(mode, make, outcome):
    """The ordinary answer comes at once."""
    assert outcome(mode, make(reply="one two three")).took_s == 0.0


def test_a_fixed_latency_is_exact(mode, make, outcome):
    """The answer, or the first piece of a stream, comes after the latency."""
    assert outcome(mode, make(latency_s=0.25)).took_s == 0.25


def test_a_uniform_latency_lies_between_its_bounds(mode, make, outcome):
    """The draws differ, and stay between the bounds."""
    mock = make(latency_s=0.2, latency_max_s=0.3)
    took = [outcome(mode, mock).took_s for _ in range(20)]

    assert len(set(took)) > 10
    assert all(0.2 <= one <= 0.3 for one in took)


def test_a_lognormal_latency_varies_around_its_median(mode, make, outcome):
    """About half of the calls are faster than the median."""
    mock = make(latency_s=0.2, latency_sigma=0.5)
    took = [outcome(mode, mock).took_s for _ in range(60)]

    assert 15 < sum(one < 0.2 for one in took) < 45


def test_a_stream_pauses_between_its_pieces(make, outcome):
    """The stream takes the latency and the pauses between its pieces."""
    for mode in STREAMS:
        assert outcome(mode, make(reply="a b c", latency_s=1, pause_s=0.25)).took_s == 1.5


def test_a_latency_above_the_timeout_ends_in_a_timeout(mode, make, outcome):
    """The mock keeps its time limit."""
    ended = outcome(mode, make(latency_s=7.0), timeout_s=5)

    assert isinstance(ended.error, ProviderTimeoutError)
    assert (ended.took_s, ended.error.phase) == (5.0, "total")


def test_a_latency_equal_to_the_timeout_is_in_time(mode, make, outcome):
    """Only an answer after the timeout is late."""
    assert outcome(mode, make(reply="pong", latency_s=5.0), timeout_s=5).text == "pong"


def test_a_stream_has_three_time_limits(make, outcome):
    """First token, idle time and total have their own limits, and the error names the one that expired."""
    for mode in STREAMS:
        for changes, took_s, phase, text in (
            ({"latency_s": 3.0, "first_token_timeout_s": 2}, 2.0, "first_token", ""),
            ({"pause_s": 3.0, "idle_timeout_s": 2}, 2.0, "idle", "a "),
            ({"pause_s": 3.0, "latency_s": 3.0}, 5.0, "total", "a "),
        ):
            ended = outcome(mode, make(reply="a b c", **changes), timeout_s=5)
            assert isinstance(ended.error, ProviderTimeoutError)
            assert (ended.took_s, ended.error.phase, ended.text) == (took_s, phase, text)


@pytest.mark.parametrize("name", ERRORS)
def test_a_scripted_error_is_raised_at_once_and_once(mode, make, outcome, name):
    """Ordinary answers follow a script that does not repeat; an error takes no time."""
    mock = make(reply="pong", script=(name,))

    ended = outcome(mode, mock)

    assert type(ended.error) is KINDS[name].error
    assert (ended.text, ended.took_s) == ("", 0.0)
    assert outcomes(outcome, mode, mock, 2) == ["pong", "pong"]


def test_a_scripted_error_comes_after_the_latency(mode, make, outcome):
    """A service that fails takes as long as one that answers."""
    assert outcome(mode, make(latency_s=0.5, script=("unavailable",))).took_s == 0.5


def test_a_script_that_repeats_starts_over(mode, make, outcome):
    """The first entry follows the last one."""
    mock = make(reply="pong", script=("rate_limited", "ok", "unavailable"), repeat=True)

    assert outcomes(outcome, mode, mock, 5) == [
        RateLimitedError,
        "pong",
        ProviderUnavailableError,
        RateLimitedError,
        "pong",
    ]


def test_silence_lasts_until_the_timeout(mode, make, outcome):
    """Nothing comes, and the limit that expires first ends the call."""
    ended = outcome(mode, make(script=("silence",)), timeout_s=5)
    assert (type(ended.error), ended.took_s, ended.text) == (ProviderTimeoutError, 5.0, "")

    impatient = outcome(mode, make(script=("silence",), first_token_timeout_s=2), timeout_s=5)
    assert impatient.took_s == (2.0 if mode in STREAMS else 5.0)


def test_a_slow_first_token_is_added_to_the_latency(mode, make, outcome):
    """The answer begins later by that time."""
    assert outcome(mode, make(latency_s=0.5, script=("slow_first_token:0.75",))).took_s == 1.25
    assert outcome(mode, make(latency_s=0.5, script=("slow_first_token:0",))).took_s == 0.5


def test_a_stall_for_ever_ends_in_a_timeout(mode, make, outcome):
    """A stream yields half of its pieces, then its idle time expires; a whole answer never comes."""
    ended = outcome(mode, make(reply="a b c", script=("stall",), idle_timeout_s=2), timeout_s=5)

    assert isinstance(ended.error, ProviderTimeoutError)
    assert (ended.text, ended.took_s, ended.error.phase) == (
        ("a b ", 2.0, "idle") if mode in STREAMS else ("", 5.0, "total")
    )


def test_a_stall_for_a_while_only_takes_time(mode, make, outcome):
    """The stream continues where it stopped."""
    ended = outcome(mode, make(reply="a b c", script=("stall:0.5",)))

    assert (ended.text, ended.took_s, ended.error) == ("a b c", 0.5, None)


def test_a_cut_stream_ends_after_half_the_answer_without_a_finish_reason(make, outcome):
    """Nothing else shows that it is cut: the reader must notice."""
    for mode in STREAMS:
        for reply, text in (("a b c", "a b "), ("a b c d", "a b "), ("pong", "pong")):
            ended = outcome(mode, make(reply=reply, script=("cut",)))
            assert (ended.text, ended.error, ended.last.finish_reason) == (text, None, None)


def test_a_cut_answer_outside_of_a_stream_is_an_invalid_reply(make, outcome):
    """A plugin that gets half an answer raises."""
    for mode in ("invoke", "ainvoke"):
        assert isinstance(outcome(mode, make(script=("cut",))).error, InvalidReplyError)


def test_a_malformed_reply_is_of_another_type(mode, make, outcome):
    """The mock returns neither a reply nor a chunk."""
    assert not isinstance(outcome(mode, make(script=("malformed",))).last, Reply | ReplyChunk)


def test_an_empty_reply_has_an_end_but_no_text(mode, make, outcome):
    """The reply has a finish reason and nothing else."""
    ended = outcome(mode, make(script=("empty",)))

    assert (ended.text, ended.last.finish_reason) == ("", FinishReason.STOP)


def test_rates_apply_to_their_share_of_calls(mode, make, outcome):
    """Each entry gets about its share of the calls, and the other calls are answered."""
    mock = make(reply="pong", rates={"unavailable": 0.2, "rate_limited:2": 0.1})
    seen = outcomes(outcome, mode, mock, 300)

    assert 36 < seen.count(ProviderUnavailableError) < 84
    assert 12 < seen.count(RateLimitedError) < 48
    assert seen.count("pong") == 300 - seen.count(ProviderUnavailableError) - seen.count(RateLimitedError)


def test_rates_of_0_and_1_are_exact(mode, make, outcome):
    """A rate of 1 applies to every call, a rate of 0 to none."""
    assert set(outcomes(outcome, mode, make(rates={"unavailable": 1.0}), 50)) == {ProviderUnavailableError}
    assert set(outcomes(outcome, mode, make(reply="pong", rates={"unavailable": 0.0}), 50)) == {"pong"}


def test_rates_apply_when_the_script_is_over(mode, make, outcome):
    """The script takes precedence."""
    mock = make(script=("rate_limited", "ok"), rates={"unavailable": 1.0}, reply="pong")

    assert outcomes(outcome, mode, mock, 3) == [RateLimitedError, "pong", ProviderUnavailableError]


CONFIGURATIONS = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(),
        "cycle": st.tuples(st.just("goal"), st.just("miss a lot"), st.just("post")),
        "latency_s": st.floats(0, 2),
        "latency_sigma": st.floats(0, 2),
        "script": st.lists(st.sampled_from([*ERRORS, "ok", "silence", "slow_first_token:0.5"]), max_size=3).map(tuple),
        "repeat": st.booleans(),
        "rates": st.dictionaries(st.sampled_from([*ERRORS, "ok", "silence"]), st.floats(0, 0.2), max_size=5),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(configuration=CONFIGURATIONS, models=st.lists(st.sampled_from("ab"), max_size=6))
def test_one_seed_gives_the_same_calls_in_every_mode(configuration, models, make, outcome, virtual):
    """The same settings give the same answers, errors and times, in every mode, whatever other models do."""

    def run(mode, sequence, of="ab"):
        mock = make(**configuration)
        ended = [(model, outcome(mode, mock, timeout_s=60.0, model=model)) for model in sequence]
        return [(model, one.text, type(one.error), round(one.took_s, 6)) for model, one in ended if model in of]

    virtual.now = 0.0
    alike = {"first_token_timeout_s": 60.0, "idle_timeout_s": 60.0}
    configuration = {**configuration, **alike}
    first = run("invoke", models)
    for mode in ("invoke", "ainvoke", "stream", "astream"):
        assert run(mode, models) == first
        assert run(mode, [m for m in models if m == "a"]) == [line for line in first if line[0] == "a"]


def test_another_seed_gives_other_calls(make, outcome):
    """The draws come from the seed."""
    rates = {"unavailable": 0.5}

    assert outcomes(outcome, "invoke", make(seed=1, rates=rates), 40) != outcomes(
        outcome, "invoke", make(seed=2, rates=rates), 40
    )


def test_each_model_behaves_by_its_own_table(mode, make, outcome):
    """The fields that a model's table omits are as for the whole instance."""
    mock = make(
        reply="pong",
        latency_s=0.5,
        models={"a": Behaviour(script=("timeout",)), "b": Behaviour(cycle=("x", "y"), latency_s=0.0)},
    )

    a, b, c = (outcome(mode, mock, model=model) for model in "abc")

    assert (type(a.error), a.took_s) == (ProviderTimeoutError, 0.5)
    assert (b.text, b.took_s) == ("x", 0.0)
    assert (c.text, c.took_s) == ("pong", 0.5)
    assert outcome(mode, mock, model="a").text == "pong"


def test_a_drill_repeats_for_the_models_it_names(mode, make, outcome):
    """A drill overrides the script and the rates of those models only."""
    mock = make(
        reply="pong",
        drill=" a = timeout, ok ; b=unavailable",
        models={"a": Behaviour(script=("authentication",), rates={"empty": 1.0})},
    )

    assert outcomes(outcome, mode, mock, 3, model="a") == [ProviderTimeoutError, "pong", ProviderTimeoutError]
    assert outcomes(outcome, mode, mock, 2, model="b") == [ProviderUnavailableError] * 2
    assert outcomes(outcome, mode, mock, 2, model="c") == ["pong"] * 2


def test_a_drill_without_a_model_is_for_all_others(mode, make, outcome):
    """The part without a model is for each model that no part names."""
    mock = make(reply="pong", drill="unavailable;b=ok", models={"c": Behaviour(latency_s=0.5)})

    assert outcomes(outcome, mode, mock, 1, model="a") == [ProviderUnavailableError]
    assert outcomes(outcome, mode, mock, 1, model="b") == ["pong"]
    assert outcomes(outcome, mode, mock, 1, model="c") == [ProviderUnavailableError]


def test_a_model_named_after_a_fault_always_has_it(mode, make, outcome):
    """A chain alone can define the fault, as in ``mock:unavailable``; a table of that name takes precedence."""
    mock = make(reply="pong", models={"timeout": Behaviour()})

    assert outcomes(outcome, mode, mock, 2, model="unavailable") == [ProviderUnavailableError] * 2
    assert outcome(mode, mock, model="rate_limited:2.5").error.retry_after_s == 2.5
    assert outcome(mode, mock, model="timeout").text == "pong"


def test_a_model_named_after_an_invalid_fault_does_not_exist(mode, make, outcome):
    """A fault with an invalid argument is an error, not an answer."""
    error = outcome(mode, make(), model="rate_limited:soon").error

    assert isinstance(error, ModelNotFoundError)
    assert "a number of seconds from 0 after the colon, got 'soon'" in str(error)
