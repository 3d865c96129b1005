"""When a service asks to be left alone, and for how long."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_hf.delays import retry_after_s

NOW_S = 1_790_000_000.0


@pytest.mark.parametrize(
    ("headers", "delay_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": formatdate(NOW_S + 90, usegmt=True)}, 90.0),
        ({"retry-after": formatdate(NOW_S - 90, usegmt=True)}, 0.0),
        ({"retry-after": "Wed, 21 Sep 2026 07:28:00 -0000"}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 99 Foo 2026"}, None),
        ({"ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"ratelimit": '"api";r=3;t=55'}, None),
        ({"ratelimit": '"a";r=5;t=900, "b";r=0;t=20'}, 20.0),
        ({"ratelimit": "garbage"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2m59.56s"}, 179.56),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "340ms"}, 0.34),
        ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "340s"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "later"}, None),
        ({"retry-after": "3", "ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"retry-after": "99", "ratelimit": '"api";r=0;t=55'}, 99.0),
    ],
)
def test_delays_in_headers(headers, delay_s):
    """Seconds, dates and rate limits are read, the longest counts, and what is none is dropped."""
    assert retry_after_s(headers, "", None, NOW_S) == (delay_s if delay_s is None else pytest.approx(delay_s))


@pytest.mark.parametrize(
    ("words", "delay_s"),
    [
        ("Please try again in 7.66s. Visit …", 7.66),
        ("Please try again in 1m30.5s", 90.5),
        ("try again in 250ms", 0.25),
        ("Retry after 3 seconds", 3.0),
        ("try again in 2 hours", 7200.0),
        ("try again later", None),
    ],
)
def test_delays_in_words(words, delay_s):
    """What the body says in words is read too."""
    assert retry_after_s({}, words, None, NOW_S) == (delay_s if delay_s is None else pytest.approx(delay_s))


@pytest.mark.parametrize(
    ("document", "delay_s"),
    [({"estimated_time": 20.5}, 20.5), ({"estimated_time": True}, None), ({"estimated_time": "20"}, None), ([], None)],
)
def test_the_time_until_a_model_is_loaded(document, delay_s):
    """A model that is loading says how long it still takes."""
    assert retry_after_s({}, "", document, NOW_S) == delay_s


@given(
    st.dictionaries(st.sampled_from(["retry-after", "ratelimit", "x-ratelimit-reset-tokens"]), st.text(max_size=40)),
    st.text(max_size=80),
)
def test_no_service_can_break_it(headers, words):
    """Whatever a service sends, the delay is None, or a number from 0 up."""
    headers["x-ratelimit-remaining-tokens"] = "0"
    delay_s = retry_after_s(headers, words, None, NOW_S)
    assert delay_s is None or 0 <= delay_s < float("inf")
