"""The delay that a service asks for, in every form."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.authoring import longest_retry_after

NOW_S = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": " 7 "}, 7.0),
        ({"RETRY-AFTER": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:20 GMT"}, 60.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:12:20 GMT"}, 0.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "1", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "5", "retry-after-ms": "1500"}, 5.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30.5s"}, 90.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "250ms"}, 0.25),
        ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "60s"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000030"}, 30.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000030000"}, 30.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1690000000"}, 0.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 30.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "12"}, 12.0),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "12"}, 12.0),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:25Z",
            },
            5.0,
        ),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:25",
            },
            5.0,
        ),
        ({"ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"ratelimit": '"api";r=3;t=55'}, None),
        ({"ratelimit": '"a";r=3;t=55, "b";r=0;t=20'}, 20.0),
        ({}, None),
        (None, None),
    ],
)
def test_headers(headers: dict[str, str] | None, seconds: float | None) -> None:
    """Each header is read, in upper or lower case, and the longest delay counts."""
    assert longest_retry_after(headers, now_s=NOW_S) == seconds


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", "nan", "inf", "1e3", "+7", "0x10", "٣", "9" * 400, "7 s", "7,5", "Tue, 99 Foo"]
)
@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms", "x-ratelimit-reset", "ratelimit"])
def test_malformed_values_are_ignored(name: str, value: str) -> None:
    """They do not affect the values that are valid."""
    headers = {name: value, "x-ratelimit-remaining": "0"}
    assert longest_retry_after(headers, now_s=NOW_S) is None
    assert (
        longest_retry_after({**headers, "x-ratelimit-remaining-a": "0", "x-ratelimit-reset-a": "3s"}, now_s=NOW_S)
        == 3.0
    )


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"details": [{"@type": "x.ErrorInfo"}, {**INFO, "retryDelay": "34.5s"}]}}, 34.5),
        ([{"error": {"details": [{**INFO, "retryDelay": "34s"}]}}], 34.0),
        ({"error": {"details": [{**INFO, "retryDelay": {"seconds": "3", "nanos": 500_000_000}}]}}, 3.5),
        ({"error": {"details": [{**INFO, "retry_delay": {"seconds": 3}}]}}, 3.0),
        ({"error": {"details": [{**INFO, "retryDelay": "soon"}]}}, None),
        ({"error": {"details": [{**INFO, "retryDelay": "-3s"}]}}, None),
        ({"error": {"details": [{**INFO, "retryDelay": {"seconds": "x"}}]}}, None),
        ({"error": {"details": [{"@type": "x.Other", "retryDelay": "34s"}, 3]}}, None),
        ({"error": {"details": 3}}, None),
        ({"estimated_time": 20.5}, 20.5),
        ({"estimated_time": -20.5}, None),
        ({"estimated_time": float("nan")}, None),
        ({"estimated_time": float("inf")}, None),
        ({"estimated_time": True}, None),
        ({"estimated_time": "later"}, None),
        ({"error": {"message": "Please try again in 7.66s. Visit …"}}, 7.66),
        ({"error": "Rate limit reached, try again in 1m30.5s."}, 90.5),
        ({"message": "Please retry after 20 seconds."}, 20.0),
        ({"message": "Please retry in 2 minutes"}, 120.0),
        ({"message": "try again in 150ms"}, 0.15),
        ({"message": "try again in 150 milliseconds"}, 0.15),
        ({"message": "try again in a moment"}, None),
        ({"message": "try again in 1.2.3.4s"}, None),
        ("Try again in 3s", 3.0),
        ([], None),
        (3, None),
        (None, None),
    ],
)
@pytest.mark.parametrize("form", ["value", "text", "bytes"])
def test_bodies(body: object, seconds: float | None, form: str) -> None:
    """A field or words of the body state the delay, as a JSON value, as text or as bytes."""
    given_body = body if form == "value" else json.dumps(body) if form == "text" else json.dumps(body).encode()
    assert longest_retry_after({}, given_body, now_s=NOW_S) == seconds


@pytest.mark.parametrize("body", [b"\xff{", "[" * 100_000, "try again in 5s: not JSON", b"try again in 5s"])
def test_bodies_that_are_not_json(body: object) -> None:
    """They are read as text, and never raise."""
    assert longest_retry_after({}, body, now_s=NOW_S) in {None, 5.0}


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset"]),
        st.text(),
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["error", "message", "details", "@type", "retryDelay", "estimated_time", "seconds"]),
                inner,
            )
        ),
        max_leaves=10,
    ),
)
def test_no_response_raises(headers: dict[str, str], body: object) -> None:
    """Whatever a service sends, the result is a finite number from 0, or None."""
    seconds = longest_retry_after(headers, body, now_s=NOW_S)
    assert seconds is None or 0 <= seconds < float("inf")


def test_the_clock() -> None:
    """Without a time, dates are counted from now."""
    assert longest_retry_after({"retry-after": "Tue, 14 Nov 2023 22:14:20 GMT"}) == 0.0
