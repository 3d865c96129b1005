"""The settings: what they reject, and what a model inherits from the instance."""

import pytest

from kickai_mock import Behaviour, MockSettings


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"script": ("timeot",)}, "unknown fault 'timeot'"),
        ({"script": ("ok", "stall:x")}, "a number of seconds"),
        ({"script": "timeout"}, "must be a tuple of texts, got the text 'timeout'"),
        ({"cycle": "pong"}, "must be a tuple of texts, got the text 'pong'"),
        ({"rates": {"unavailble": 0.1}}, "unknown fault 'unavailble'"),
        ({"rates": {"unavailable": 1.5}}, "the rate of 'unavailable' must be from 0 to 1, got 1.5"),
        ({"rates": {"unavailable": -0.1}}, "from 0 to 1"),
        ({"rates": {"unavailable": 0.6, "timeout": 0.5}}, "the sum of the rates must be at most 1"),
        ({"drill": "a=timeot"}, "unknown fault 'timeot'"),
        ({"drill": "a="}, "unknown fault ''"),
        ({"drill": "a=ok;a=timeout"}, "'a=timeout' must name a model before '=' that no other part"),
        ({"drill": "ok;timeout"}, "'timeout' must name a model before '='"),
        ({"drill": "=timeout"}, "'=timeout' must name a model"),
        ({"latency_s": -1.0}, "'latency_s' must be >= 0"),
        ({"latency_sigma": 6.0}, "'latency_sigma' must be <= 5"),
        ({"pause_s": -0.1}, "'pause_s' must be >= 0"),
        ({"keep_calls": -1}, "'keep_calls' must be >= 0"),
    ],
)
def test_an_invalid_value_is_rejected_when_the_settings_are_created(fields, complaint):
    """An invalid value is an error at once, not at the first call."""
    with pytest.raises((TypeError, ValueError), match=complaint):
        MockSettings(**fields)


def test_the_sum_of_rates_may_be_1():
    """A rounding error does not reject rates whose sum is 1."""
    assert MockSettings(rates={"timeout": 0.1, "unavailable": 0.2, "empty": 0.7}).rates


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({"latency_s": 0.5, "latency_max_s": 0.4}, ["latency_max_s"]),
        ({"latency_max_s": 0.4, "latency_sigma": 0.1}, ["latency_sigma"]),
        ({"latency_max_s": 0.4, "models": {"a": Behaviour(latency_s=0.5)}}, ["models.a.latency_max_s"]),
        ({"latency_sigma": 0.5, "models": {"a": Behaviour(latency_max_s=0.5)}}, ["models.a.latency_sigma"]),
        ({"latency_s": 0.4, "latency_max_s": 0.4, "models": {"a": Behaviour(latency_s=0.1)}}, []),
    ],
)
def test_fields_that_exclude_each_other_are_problems(hooks, fields, paths):
    """Each problem has the path of the field to change."""
    problems = hooks.kickai_validate_provider(settings=MockSettings(**fields), online=False)

    assert [problem.path for problem in problems] == paths


def test_a_model_inherits_its_missing_fields_from_the_instance():
    """Each field is inherited on its own, but a reply and a cycle replace each other."""
    whole = MockSettings(reply="pong", latency_s=0.5, repeat=True, script=("ok",))

    assert Behaviour(latency_s=0.0).inherit_from(whole) == Behaviour(
        reply="pong", latency_s=0.0, repeat=True, script=("ok",)
    )
    assert Behaviour(cycle=("a",)).inherit_from(whole).reply is None
    assert Behaviour(repeat=False, script=()).inherit_from(whole) == Behaviour(
        reply="pong", latency_s=0.5, repeat=False, script=()
    )


def test_the_mock_describes_itself(hooks):
    """It is found as ``mock`` and ``fake``, needs no key, and keeps its time limits."""
    info = hooks.kickai_provider_info()

    assert (info.name, info.aliases, info.settings_class, info.holds_timeouts) == (
        "mock",
        ("fake",),
        MockSettings,
        True,
    )
    assert set(info.environment.values()) == {"drill", "reply", "seed"}
    assert hooks.kickai_validate_provider(settings=MockSettings(), online=True) == []
