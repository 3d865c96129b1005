"""The entries for faults, and their errors."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kickai_providers_core.values import errors

from kickai_mock import KINDS, Fault


def _leaves(cls: type) -> set[type]:
    below = cls.__subclasses__()
    return {leaf for child in below for leaf in _leaves(child)} if below else {cls}


def _snake(cls: type) -> str:
    words = cls.__name__.removesuffix("Error").removeprefix("Provider")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in words).removeprefix("_")


def test_there_is_a_fault_for_every_leaf_of_the_error_tree_named_after_its_class():
    """Each kind of error that a chain distinguishes can be scripted, under the name of its class."""
    leaves = {leaf for leaf in _leaves(errors.ProviderError) if leaf.__module__ == errors.__name__}

    kinds = {name: kind.error for name, kind in KINDS.items() if kind.error and kind.reached}

    assert {_snake(leaf): leaf for leaf in leaves} == kinds


def test_an_unreachable_service_was_not_reached():
    """An error that counts against the provider's breaker can be scripted."""
    assert [Fault.parse(name).build_error().reached for name in ("unreachable", "unavailable")] == [False, True]


@pytest.mark.parametrize(
    ("entry", "status", "fields"),
    [
        ("timeout", None, {"phase": "total", "retry_after_s": None}),
        ("rate_limited", 429, {"retry_after_s": None}),
        ("rate_limited:2.5", 429, {"retry_after_s": 2.5}),
        ("unavailable", 503, {"retry_after_s": None}),
        ("unavailable:0", 503, {"retry_after_s": 0.0}),
        ("invalid_reply", 200, {}),
        ("authentication", 401, {}),
        ("quota_exhausted:3600", 402, {"retry_after_s": 3600.0}),
        ("model_not_found", 404, {}),
        ("invalid_request", 400, {}),
        ("context_length_exceeded:4096", 400, {"limit_tokens": 4096}),
        ("context_length_exceeded:1", 400, {"limit_tokens": 1}),
        ("content_filtered:SAFETY", 400, {"reason": "SAFETY"}),
    ],
)
def test_an_error_has_the_status_and_the_fields_of_a_real_one(entry, status, fields):
    """The error looks like that of a real service, and its message says that it is simulated."""
    error = Fault.parse(entry).build_error()

    assert error is not None
    assert error.status_code == status
    assert {name: getattr(error, name) for name in fields} == fields
    assert error.message.startswith("simulated: ")
    assert pickle.loads(pickle.dumps(error)).__dict__ == error.__dict__


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("timeot", "unknown fault 'timeot' \\(did you mean 'timeout'\\?\\)"),
        ("Timeout", "unknown fault 'Timeout' \\(did you mean 'timeout'\\?\\)"),
        ("rate_limit:2", "unknown fault 'rate_limit' \\(did you mean 'rate_limited'\\?\\)"),
        ("", "unknown fault '' \\(known: ok, timeout, rate_limited, unavailable, "),
        ("down", "unknown fault 'down' \\(known: ok, "),
        ("cut:3", "'cut' takes no argument, got 'cut:3'"),
        ("ok:", "'ok' takes no argument"),
        ("slow_first_token", "'slow_first_token' needs a number of seconds: write 'slow_first_token:0.5'"),
        ("stall:soon", "'stall:soon' must have a number of seconds from 0 after the colon, got 'soon'"),
        ("stall:-1", "a number of seconds from 0"),
        ("stall:inf", "a number of seconds from 0"),
        ("stall:nan", "a number of seconds from 0"),
        ("rate_limited:", "a number of seconds from 0 after the colon, got ''"),
        ("context_length_exceeded:0", "a whole number of tokens from 1"),
        ("context_length_exceeded:4096.5", "a whole number of tokens from 1"),
        ("content_filtered:", "'content_filtered:' must have a word after the colon"),
    ],
)
def test_the_error_of_a_wrong_entry_says_what_is_right(entry, complaint):
    """The message names the nearest kind, or the form of the argument."""
    with pytest.raises(ValueError, match=complaint.replace("'", "['\"]")):
        Fault.parse(entry)


ARGUMENTS = {
    "": st.none(),
    "seconds": st.none() | st.floats(0, 1e6),
    "tokens": st.none() | st.integers(1, 10**9),
    "word": st.none() | st.from_regex(r"[A-Za-z_][A-Za-z0-9_:-]*", fullmatch=True),
}


@given(st.sampled_from(sorted(KINDS)).flatmap(lambda name: st.tuples(st.just(name), ARGUMENTS[KINDS[name].takes])))
def test_the_text_of_a_fault_is_its_entry(parts):
    """Parsing the text of a fault returns the fault."""
    name, argument = parts
    fault = Fault(name, 0.5 if KINDS[name].needs and argument is None else argument)

    assert Fault.parse(str(fault)) == fault


def test_the_message_of_an_error_is_fixed():
    """Neither a prompt nor a key can get into a message."""
    for name, kind in KINDS.items():
        error = Fault(name).build_error()
        if error is not None:
            assert str(error).startswith(f"simulated: {kind.meaning}")
