"""Every fault of the matrix, in every way of calling, with the real client on a real socket."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from fault_matrix import BOUND_S, DOCUMENT, ROWS, TIMEOUT_S, rendered
from kickai_providers_core.testing.faults import Fault, blackhole, closed_port

SLACK_S = 0.25
"""How much later than its bound a call may end."""

TRIES = 3
"""A call that ends too late is made again: what is late by itself stays late, and a busy machine is busy by turns."""

CELLS = [pytest.param(row, mode, id=f"{row.name}-{mode}") for row in ROWS for mode in row.modes]


def bound_s(row):
    """Return how long the call may take before its time is out; 10 s where time is not what runs out."""
    if not row.phase:
        return 10.0
    return TIMEOUT_S if row.phase == "total" else BOUND_S


@pytest.mark.parametrize(("row", "mode"), CELLS)
def test_a_fault_becomes_its_error_and_the_next_call_works(row, mode, server, calls):
    """The call raises the row's error in time, frees its socket when time ran out, and the next one is answered."""
    short = {f"{row.phase}_timeout_s": BOUND_S} if row.phase in {"connect", "first_token", "idle"} else {}
    timeout_s = TIMEOUT_S if row.phase == "total" else 10.0
    for attempt in range(TRIES):
        with blackhole() if row.fault == "hangs" else nullcontext(closed_port()) as port:
            place = f"http://127.0.0.1:{port}" if not isinstance(row.fault, Fault) else server.url
            call = calls(host=place, **short)
            if place == server.url:
                server.script(row.fault)
            ended = call(mode, timeout_s=timeout_s)
        closed = not row.phase or server.wait_closed(SLACK_S)
        if attempt == TRIES - 1 or (ended.elapsed_s <= bound_s(row) + SLACK_S and closed):
            break
    error = ended.error
    assert type(error) is row.error, ended
    assert error.message.replace(place, "URL") == row.message(mode)
    assert getattr(error, "phase", "") == row.phase
    assert error.retry_after_s == row.retry_after_s
    assert ended.elapsed_s <= bound_s(row) + SLACK_S
    assert closed, "the socket is open after time ran out"
    assert len(server.requests) <= attempt + 1, "the request was made more than once"
    again = call if place == server.url else calls()
    assert again(mode).reply.text == "pong"


def test_the_document_is_current():
    """docs/fault-matrix.md tells what the rows tell, which the tests above have seen."""
    assert DOCUMENT.read_text(encoding="utf-8") == rendered(), "run python tests/fault_matrix.py"
