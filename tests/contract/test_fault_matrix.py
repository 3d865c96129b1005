"""The fault matrix of the reference provider, and the wrong providers that it finds."""

from __future__ import annotations

import gc

import pytest
from attrs import evolve
from kestrel.mutants import MUTANTS
from kestrel.plugin import plugin
from kestrel.settings import KestrelSettings
from kestrel.wire import KestrelWire

from kickai_providers_core.testing import FaultMatrix, FaultRow
from kickai_providers_core.testing.fault_matrix import STREAMS, WHOLE_ANSWERS
from kickai_providers_core.testing.faults import (
    CloseEarly,
    Cut,
    Drip,
    ErrorPiece,
    Malformed,
    Ok,
    Silence,
    SlowFirstToken,
    Stall,
    Status,
    Unreachable,
)
from kickai_providers_core.values import errors

REFUSED = FaultRow(
    name="nothing listens",
    fault=Unreachable.REFUSED,
    error=errors.ProviderUnavailableError,
    message="the connection was refused or lost",
    reached=False,
)
SILENT = FaultRow(name="silence", fault=Silence(), error=errors.ProviderTimeoutError, expires="total")
LIMITED = FaultRow(
    name="429 with a delay",
    fault=Status(429, "rate_limit", {"retry-after": "7"}),
    error=errors.RateLimitedError,
    message="an error status",
    retry_after_s=7.0,
)
GARBLED = FaultRow(name="half a JSON text", fault=Malformed(), error=errors.InvalidReplyError)
BROKEN = FaultRow(name="500", fault=Status(500), error=errors.ProviderUnavailableError)
STALLED = FaultRow(name="a stall", fault=Stall(1), error=errors.ProviderTimeoutError, modes=STREAMS, expires="idle")

ROWS = {
    "Connections": (
        REFUSED,
        FaultRow(
            name="connecting hangs", fault=Unreachable.HANGS, error=errors.ProviderTimeoutError, expires="connect"
        ),
        FaultRow(name="closed half-way", fault=CloseEarly(10_000), error=errors.InvalidReplyError),
        SILENT,
    ),
    "ReplyTests": (
        LIMITED,
        evolve(LIMITED, name="429 within bounds", retry_after_s=(6.5, 7.5), note="the delay is approximate"),
        BROKEN,
        FaultRow(name="400, too long", fault=Status(400, "context_length"), error=errors.ContextLengthExceededError),
        GARBLED,
    ),
    "Streams": (
        FaultRow(
            name="no first token",
            fault=SlowFirstToken(5.0),
            error=errors.ProviderTimeoutError,
            modes=STREAMS,
            expires="first_token",
        ),
        STALLED,
        FaultRow(
            name="a stream without an end", fault=Cut(1, "clean"), error=errors.InvalidReplyError, modes=["astream"]
        ),
        FaultRow(
            name="an error in the stream",
            fault=ErrorPiece(1),
            error=errors.ProviderUnavailableError,
            status_code=503,
            modes=STREAMS,
        ),
    ),
}


class TestKestrelFaults(FaultMatrix):
    """The reference provider passes every row."""

    plugin = plugin
    wire = KestrelWire()
    rows = ROWS

    def settings(self, url, key):
        """Return settings for the fault server."""
        return KestrelSettings(url=url, key=key)


def failure_of(row, wrong=plugin, **changes):
    """Return the message with which a row fails."""
    matrix = type("Matrix", (TestKestrelFaults,), {"plugin": wrong, "patience_s": 0.1, **changes})()
    with pytest.raises(AssertionError) as caught:
        matrix.test_fault_raises_the_expected_error(row)
    return str(caught.value)


DRIPPING = FaultRow(
    name="the body comes byte by byte", fault=Drip(0.01), error=errors.ProviderTimeoutError, expires="total"
)

WRONG = {
    "ReadsRateLimitAsOutage": (LIMITED, "expected RateLimitedError, got ProviderUnavailableError"),
    "NeverSetsReachedToFalse": (REFUSED, "invoke: expected reached=False, got True"),
    "KeepsKeyInVariable": (BROKEN, "the error's traceback with local variables contains the key"),
    "RestartsTimeoutWithEachRead": (DRIPPING, "invoke: the call took "),
    "RetriesOutages": (BROKEN, "invoke: the call made 2 requests, expected 1: the core retries"),
    "FailsTwice": (REFUSED, "invoke: the next call of the same provider raised ProviderUnavailableError"),
    "NeverClosesConnections": (BROKEN, "invoke: connections still open after the provider was closed: 1"),
    "LeavesATask": (BROKEN, "ainvoke: tasks left on the event loop: <Task pending"),
    "LeavesAThread": (BROKEN, "threads left after the provider was closed: Thread-"),
}
"""From a wrong provider to the row that finds it, and a part of the message."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # some leave sockets open
@pytest.mark.parametrize(("mutant", "row", "message"), [(name, *case) for name, case in WRONG.items()], ids=WRONG)
def test_a_wrong_provider_fails_its_row(mutant, row, message):
    """The row of a provider's fault fails, and the message names the row and says what was expected."""
    text = failure_of(row, MUTANTS[mutant].plugin)
    gc.collect()  # a socket that was left open warns here, not in a later test
    assert text.startswith(f"fault {row.name!r}:\n")
    assert message in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"error": errors.QuotaExhaustedError}, "invoke: expected QuotaExhaustedError, got RateLimitedError"),
        ({"message": "too fast"}, "expected the message 'too fast', got 'an error status'"),
        ({"retry_after_s": 8.0}, "expected retry_after_s=8.0, got 7.0"),
        ({"retry_after_s": (1.0, 6.0)}, "expected retry_after_s=(1.0, 6.0), got 7.0"),
        ({"retry_after_s": None}, "expected retry_after_s=None, got 7.0"),
        ({"status_code": 430}, "expected status_code=430, got 429"),
        ({"fields": {"reason": "safety"}}, "expected reason='safety', got None"),
        ({"stream_error": errors.QuotaExhaustedError}, "astream: expected QuotaExhaustedError, got RateLimitedError"),
        (
            {"stream_message": "too fast"},
            "stream: expected the message 'too fast', got 'an error status'",
        ),
        ({"fault": Ok()}, "invoke: expected RateLimitedError, got Reply"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_each_part_of_a_row_is_checked(changes, message):
    """A row that expects something else of a good provider fails with what it expected and what it got."""
    assert message in failure_of(evolve(LIMITED, **changes))


def test_the_phase_and_whether_the_service_was_reached_are_checked():
    """These fields are checked on each error that has them."""
    assert "expected phase='connect', got 'total'" in failure_of(evolve(SILENT, phase="connect"))
    assert "expected reached=True, got False" in failure_of(evolve(REFUSED, reached=True))


def test_a_late_error_fails():
    """A call that ends after its timeout and the slack fails, with both times."""
    assert "s, expected at most 0.10 s" in failure_of(STALLED, slack_s=0.0)


UNAVAILABLE, LIMIT = "`ProviderUnavailableError`", "`RateLimitedError`"
DELAY = "`retry_after_s` 6.5 to 7.5; `status_code` 429"


def test_the_document_lists_every_row():
    """The page has a table for each section, and the number of rows and cells."""
    text = TestKestrelFaults.render_document()
    assert "13 faults, 43 cells" in text
    for line in (
        "## Connections",
        f"| nothing listens | {UNAVAILABLE} | {UNAVAILABLE} | the connection was refused or lost; `reached` False |",
        "| a stream without an end | – | `InvalidReplyError` (`astream` only) |  |",
        f"| 429 within bounds | {LIMIT} | {LIMIT} | an error status; {DELAY}; the delay is approximate |",
        "| a stall | – | `ProviderTimeoutError` | `phase` idle |",
    ):
        assert f"\n{line}\n" in text


def test_an_outdated_document_fails(tmp_path):
    """A page that differs from the rows fails the test that compares them, until it is written again."""
    matrix = type("Matrix", (TestKestrelFaults,), {"document": tmp_path / "faults.md"})
    with pytest.raises(AssertionError, match=r"faults\.md is out of date: write it with Matrix\.write_document\(\)"):
        matrix().test_document_is_up_to_date()
    matrix.write_document()
    matrix().test_document_is_up_to_date()


@pytest.mark.parametrize(
    "changes",
    [{"name": ""}, {"fault": "silence"}, {"modes": ()}, {"modes": ("invokes",)}, {"expires": "whole"}],
    ids=str,
)
def test_a_row_is_validated(changes):
    """A row with an impossible value is refused when it is made."""
    with pytest.raises((TypeError, ValueError)):
        evolve(LIMITED, **changes)


def test_the_named_groups_of_modes_are_all_modes():
    """Whole answers and streams together are all modes."""
    assert (*WHOLE_ANSWERS, *STREAMS) == LIMITED.modes
