"""The settings: what they refuse, and what one model takes from the whole instance."""

import pytest

from kickai_mock import Behaviour, MockSettings


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"script": ("timeot",)}, "'timeot' is no fault; the nearest is 'timeout'"),
        ({"script": ("ok", "stall:x")}, "a number of seconds"),
        ({"script": "timeout"}, "must be a tuple of texts, found the text 'timeout'"),
        ({"cycle": "pong"}, "must be a tuple of texts, found the text 'pong'"),
        ({"rates": {"unavailble": 0.1}}, "'unavailble' is no fault; the nearest is 'unavailable'"),
        ({"rates": {"unavailable": 1.5}}, "the rate of 'unavailable' must be a share of calls from 0 to 1, found 1.5"),
        ({"rates": {"unavailable": -0.1}}, "from 0 to 1"),
        ({"rates": {"unavailable": 0.6, "timeout": 0.5}}, "not be more than 1 together"),
        ({"drill": "a=timeot"}, "'timeot' is no fault"),
        ({"drill": "a="}, "'' is no fault"),
        ({"drill": "a=ok;a=timeout"}, "'a=timeout' must name a model before '=' that no other part"),
        ({"drill": "ok;timeout"}, "'timeout' must name a model before '='"),
        ({"drill": "=timeout"}, "'=timeout' must name a model"),
        ({"latency_s": -1.0}, "'latency_s' must be >= 0"),
        ({"latency_sigma": 6.0}, "'latency_sigma' must be <= 5"),
        ({"pause_s": -0.1}, "'pause_s' must be >= 0"),
        ({"keep_calls": -1}, "'keep_calls' must be >= 0"),
    ],
)
def test_what_cannot_be_is_refused_when_the_settings_are_made(told, complaint):
    """A wrong value is an error of whoever wrote it, not a surprise at the first call."""
    with pytest.raises((TypeError, ValueError), match=complaint):
        MockSettings(**told)


def test_rates_may_fill_up_the_whole():
    """Shares that are 1 together are not refused for a rounding error."""
    assert MockSettings(rates={"timeout": 0.1, "unavailable": 0.2, "empty": 0.7}).rates


@pytest.mark.parametrize(
    ("told", "paths"),
    [
        ({"latency_s": 0.5, "latency_max_s": 0.4}, ["latency_max_s"]),
        ({"latency_max_s": 0.4, "latency_sigma": 0.1}, ["latency_sigma"]),
        ({"latency_max_s": 0.4, "models": {"a": Behaviour(latency_s=0.5)}}, ["models.a.latency_max_s"]),
        ({"latency_sigma": 0.5, "models": {"a": Behaviour(latency_max_s=0.5)}}, ["models.a.latency_sigma"]),
        ({"latency_s": 0.4, "latency_max_s": 0.4, "models": {"a": Behaviour(latency_s=0.1)}}, []),
    ],
)
def test_fields_that_exclude_each_other_are_problems(hooks, told, paths):
    """What only several fields show together is told with the path of the one to change."""
    problems = hooks.kickai_validate_provider(settings=MockSettings(**told), online=False)

    assert [problem.path for problem in problems] == paths


def test_a_model_takes_what_it_leaves_out_from_the_instance():
    """Field by field; only a reply and a cycle stand in for each other."""
    whole = MockSettings(reply="pong", latency_s=0.5, repeat=True, script=("ok",))

    assert Behaviour(latency_s=0.0).over(whole) == Behaviour(reply="pong", latency_s=0.0, repeat=True, script=("ok",))
    assert Behaviour(cycle=("a",)).over(whole).reply is None
    assert Behaviour(repeat=False, script=()).over(whole) == Behaviour(
        reply="pong", latency_s=0.5, repeat=False, script=()
    )


def test_the_mock_tells_what_it_is(hooks):
    """It is found as ``mock`` and ``fake``, needs no key, and keeps to the time it is given."""
    info = hooks.kickai_provider_info()

    assert (info.name, info.aliases, info.settings_class, info.holds_timeouts) == (
        "mock",
        ("fake",),
        MockSettings,
        True,
    )
    assert set(info.environment.values()) == {"drill", "reply", "seed"}
    assert hooks.kickai_validate_provider(settings=MockSettings(), online=True) == []
