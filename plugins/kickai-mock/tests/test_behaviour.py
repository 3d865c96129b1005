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


def outcomes(tell, mode, mock, count, **fields):
    """Return what the next calls come to: a text, or the class of an error."""
    ended = [tell(mode, mock, **fields) for _ in range(count)]
    return [type(one.error) if one.error else one.text for one in ended]


def test_without_a_latency_no_time_passes(mode, make, tell):
    """The ordinary answer comes at once."""
    assert tell(mode, make(reply="one two three")).took_s == 0.0


def test_a_fixed_latency_is_kept(mode, make, tell):
    """The answer, or the first piece of a stream, takes as long as told."""
    assert tell(mode, make(latency_s=0.25)).took_s == 0.25


def test_an_even_latency_lies_between_its_bounds(mode, make, tell):
    """Draws differ, and stay within what was told."""
    mock = make(latency_s=0.2, latency_max_s=0.3)
    took = [tell(mode, mock).took_s for _ in range(20)]

    assert len(set(took)) > 10
    assert all(0.2 <= one <= 0.3 for one in took)


def test_a_lognormal_latency_is_spread_round_its_median(mode, make, tell):
    """About half of the calls are faster than the median."""
    mock = make(latency_s=0.2, latency_sigma=0.5)
    took = [tell(mode, mock).took_s for _ in range(60)]

    assert 15 < sum(one < 0.2 for one in took) < 45


def test_a_stream_pauses_between_its_pieces(make, tell):
    """The whole takes the latency, and a pause less than there are pieces."""
    for mode in STREAMS:
        assert tell(mode, make(reply="a b c", latency_s=1, pause_s=0.25)).took_s == 1.5


def test_a_latency_above_the_timeout_raises_when_the_time_is_over(mode, make, tell):
    """The mock keeps to the time it was given."""
    ended = tell(mode, make(latency_s=7.0), timeout_s=5)

    assert isinstance(ended.error, ProviderTimeoutError)
    assert (ended.took_s, ended.error.phase) == (5.0, "total")


def test_a_latency_of_just_the_timeout_is_in_time(mode, make, tell):
    """Only what comes after the time is over is late."""
    assert tell(mode, make(reply="pong", latency_s=5.0), timeout_s=5).text == "pong"


def test_a_stream_keeps_each_of_its_limits(make, tell):
    """First token, idleness and the whole have times of their own, and the error says which was over."""
    for mode in STREAMS:
        for told, took_s, phase, text in (
            ({"latency_s": 3.0, "first_token_timeout_s": 2}, 2.0, "first_token", ""),
            ({"pause_s": 3.0, "idle_timeout_s": 2}, 2.0, "idle", "a "),
            ({"pause_s": 3.0, "latency_s": 3.0}, 5.0, "total", "a "),
        ):
            ended = tell(mode, make(reply="a b c", **told), timeout_s=5)
            assert isinstance(ended.error, ProviderTimeoutError)
            assert (ended.took_s, ended.error.phase, ended.text) == (took_s, phase, text)


@pytest.mark.parametrize("name", ERRORS)
def test_a_scripted_error_is_raised_at_once_and_then_the_script_is_over(mode, make, tell, name):
    """A script that does not repeat is followed by ordinary answers; an error costs no time of its own."""
    mock = make(reply="pong", script=(name,))

    ended = tell(mode, mock)

    assert type(ended.error) is KINDS[name].error
    assert (ended.text, ended.took_s) == ("", 0.0)
    assert outcomes(tell, mode, mock, 2) == ["pong", "pong"]


def test_a_scripted_error_comes_after_the_latency(mode, make, tell):
    """A service that fails takes as long as one that answers."""
    assert tell(mode, make(latency_s=0.5, script=("unavailable",))).took_s == 0.5


def test_a_script_that_repeats_goes_round(mode, make, tell):
    """After its last entry comes its first."""
    mock = make(reply="pong", script=("rate_limited", "ok", "unavailable"), repeat=True)

    assert outcomes(tell, mode, mock, 5) == [
        RateLimitedError,
        "pong",
        ProviderUnavailableError,
        RateLimitedError,
        "pong",
    ]


def test_silence_lasts_until_the_time_is_over(mode, make, tell):
    """Nothing comes, and the limit that runs out first ends the call."""
    ended = tell(mode, make(script=("silence",)), timeout_s=5)
    assert (type(ended.error), ended.took_s, ended.text) == (ProviderTimeoutError, 5.0, "")

    impatient = tell(mode, make(script=("silence",), first_token_timeout_s=2), timeout_s=5)
    assert impatient.took_s == (2.0 if mode in STREAMS else 5.0)


def test_a_slow_first_token_is_added_to_the_latency(mode, make, tell):
    """The answer begins so much later."""
    assert tell(mode, make(latency_s=0.5, script=("slow_first_token:0.75",))).took_s == 1.25
    assert tell(mode, make(latency_s=0.5, script=("slow_first_token:0",))).took_s == 0.5


def test_a_stall_for_ever_ends_in_a_timeout(mode, make, tell):
    """A stream hands out half of its pieces, then its idle time runs out; a whole answer never comes."""
    ended = tell(mode, make(reply="a b c", script=("stall",), idle_timeout_s=2), timeout_s=5)

    assert isinstance(ended.error, ProviderTimeoutError)
    assert (ended.text, ended.took_s, ended.error.phase) == (
        ("a b ", 2.0, "idle") if mode in STREAMS else ("", 5.0, "total")
    )


def test_a_stall_for_a_while_only_takes_time(mode, make, tell):
    """The stream goes on where it stopped."""
    ended = tell(mode, make(reply="a b c", script=("stall:0.5",)))

    assert (ended.text, ended.took_s, ended.error) == ("a b c", 0.5, None)


def test_a_cut_stream_ends_after_half_the_answer_without_a_finish_reason(make, tell):
    """It does not say that it is cut: whoever reads it must notice."""
    for mode in STREAMS:
        for reply, text in (("a b c", "a b "), ("a b c d", "a b "), ("pong", "pong")):
            ended = tell(mode, make(reply=reply, script=("cut",)))
            assert (ended.text, ended.error, ended.last.finish_reason) == (text, None, None)


def test_a_cut_answer_that_is_no_stream_is_an_invalid_reply(make, tell):
    """A plugin that gets half an answer says so."""
    for mode in ("invoke", "ainvoke"):
        assert isinstance(tell(mode, make(script=("cut",))).error, InvalidReplyError)


def test_a_malformed_reply_is_of_another_type(mode, make, tell):
    """What comes is neither a reply nor a chunk."""
    assert not isinstance(tell(mode, make(script=("malformed",))).last, Reply | ReplyChunk)


def test_an_empty_reply_has_an_end_but_no_text(mode, make, tell):
    """The model says that it stopped, and nothing else."""
    ended = tell(mode, make(script=("empty",)))

    assert (ended.text, ended.last.finish_reason) == ("", FinishReason.STOP)


def test_rates_strike_about_as_often_as_told(mode, make, tell):
    """Each entry has its share of the calls, and the rest is answered."""
    mock = make(reply="pong", rates={"unavailable": 0.2, "rate_limited:2": 0.1})
    seen = outcomes(tell, mode, mock, 300)

    assert 36 < seen.count(ProviderUnavailableError) < 84
    assert 12 < seen.count(RateLimitedError) < 48
    assert seen.count("pong") == 300 - seen.count(ProviderUnavailableError) - seen.count(RateLimitedError)


def test_rates_of_all_and_nothing_are_exact(mode, make, tell):
    """A rate of 1 strikes every call, a rate of 0 none."""
    assert set(outcomes(tell, mode, make(rates={"unavailable": 1.0}), 50)) == {ProviderUnavailableError}
    assert set(outcomes(tell, mode, make(reply="pong", rates={"unavailable": 0.0}), 50)) == {"pong"}


def test_rates_speak_when_the_script_is_over(mode, make, tell):
    """The script goes first."""
    mock = make(script=("rate_limited", "ok"), rates={"unavailable": 1.0}, reply="pong")

    assert outcomes(tell, mode, mock, 3) == [RateLimitedError, "pong", ProviderUnavailableError]


STORIES = st.fixed_dictionaries(
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
@given(told=STORIES, models=st.lists(st.sampled_from("ab"), max_size=6))
def test_one_seed_is_one_story_in_every_mode(told, models, make, tell, virtual):
    """The same settings give the same answers, errors and times, however the calls are made and whoever else calls."""

    def story(mode, asked, of="ab"):
        mock = make(**told)
        ended = [(model, tell(mode, mock, timeout_s=60.0, model=model)) for model in asked]
        return [(model, one.text, type(one.error), round(one.took_s, 6)) for model, one in ended if model in of]

    virtual.now = 0.0
    alike = {"first_token_timeout_s": 60.0, "idle_timeout_s": 60.0}
    told = {**told, **alike}
    first = story("invoke", models)
    for mode in ("invoke", "ainvoke", "stream", "astream"):
        assert story(mode, models) == first
        assert story(mode, [m for m in models if m == "a"]) == [line for line in first if line[0] == "a"]


def test_another_seed_is_another_story(make, tell):
    """The seed is what the draws come from."""
    rates = {"unavailable": 0.5}

    assert outcomes(tell, "invoke", make(seed=1, rates=rates), 40) != outcomes(
        tell, "invoke", make(seed=2, rates=rates), 40
    )


def test_each_model_behaves_as_its_own_table_says(mode, make, tell):
    """What a model's table leaves out is as for the whole instance."""
    mock = make(
        reply="pong",
        latency_s=0.5,
        models={"a": Behaviour(script=("timeout",)), "b": Behaviour(cycle=("x", "y"), latency_s=0.0)},
    )

    a, b, c = (tell(mode, mock, model=model) for model in "abc")

    assert (type(a.error), a.took_s) == (ProviderTimeoutError, 0.5)
    assert (b.text, b.took_s) == ("x", 0.0)
    assert (c.text, c.took_s) == ("pong", 0.5)
    assert tell(mode, mock, model="a").text == "pong"


def test_a_drill_goes_round_for_the_models_it_names(mode, make, tell):
    """A drill overrides the script and the rates of those models, and leaves the others alone."""
    mock = make(
        reply="pong",
        drill=" a = timeout, ok ; b=unavailable",
        models={"a": Behaviour(script=("authentication",), rates={"empty": 1.0})},
    )

    assert outcomes(tell, mode, mock, 3, model="a") == [ProviderTimeoutError, "pong", ProviderTimeoutError]
    assert outcomes(tell, mode, mock, 2, model="b") == [ProviderUnavailableError] * 2
    assert outcomes(tell, mode, mock, 2, model="c") == ["pong"] * 2


def test_a_drill_without_a_model_is_for_all_others(mode, make, tell):
    """The part that names no model speaks for each that no part names."""
    mock = make(reply="pong", drill="unavailable;b=ok", models={"c": Behaviour(latency_s=0.5)})

    assert outcomes(tell, mode, mock, 1, model="a") == [ProviderUnavailableError]
    assert outcomes(tell, mode, mock, 1, model="b") == ["pong"]
    assert outcomes(tell, mode, mock, 1, model="c") == [ProviderUnavailableError]


def test_a_model_that_is_called_after_a_fault_always_commits_it(mode, make, tell):
    """A chain alone can say what fails: ``mock:unavailable``; a table of that name is stronger."""
    mock = make(reply="pong", models={"timeout": Behaviour()})

    assert outcomes(tell, mode, mock, 2, model="unavailable") == [ProviderUnavailableError] * 2
    assert tell(mode, mock, model="rate_limited:2.5").error.retry_after_s == 2.5
    assert tell(mode, mock, model="timeout").text == "pong"


def test_a_model_that_is_nearly_called_after_a_fault_does_not_exist(mode, make, tell):
    """A fault with a wrong argument is told, rather than answered."""
    error = tell(mode, make(), model="rate_limited:soon").error

    assert isinstance(error, ModelNotFoundError)
    assert "a number of seconds from 0 after the colon, found 'soon'" in str(error)
