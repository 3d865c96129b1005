"""Every fault of the matrix, in every way of calling, with both real clients on a real socket."""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import KEY, Caller, nobody
from fault_matrix import BOUND_S, DOCUMENT, ROWS, TIMEOUT_S, rendered
from gemini_service import GeminiService
from kickai_providers_core import ChatRequest, Message
from kickai_providers_core.testing.faults import FaultServer, Ok, blackhole

from kickai_gemini.settings import GeminiSettings

SLACK_S = 0.25
"""How much later than its bound a call may end."""

TRIES = 3
"""A call that ends too late is made again: what is late by itself stays late, and a busy machine is busy by turns."""

PROMPT = "canary-prompt"
REQUEST = ChatRequest(messages=(Message(role="user", content=PROMPT),), max_tokens=64)


def met(row, sdk, mode):
    """Make a call that meets a fault; return how it ended, whether its socket closed, and what came after it."""
    service = GeminiService()
    service.answer = row.answer
    bounds = {f"{row.phase}_timeout_s": BOUND_S} if row.phase in {"connect", "first_token", "idle"} else {}
    timeout_s = TIMEOUT_S if row.phase == "total" else 10.0
    elsewhere = blackhole() if row.place == "hangs" else nobody()
    with FaultServer(service) as server, elsewhere as port:
        url = server.url if row.place == "server" else f"http://127.0.0.1:{port}"
        call = Caller(GeminiSettings(base_url=url, api_key=KEY, client=sdk, **bounds))
        server.script(row.fault if row.answer is None else Ok(pieces=()))
        ended = call(mode, REQUEST, timeout_s)
        closed = not row.phase or server.wait_closed(SLACK_S)
        requests = len(server.requests)
        service.answer = None
        after = call(mode).reply if row.place == "server" else None
        call.provider.close()
    return ended, closed, requests, after


def bound_s(row):
    """Return how long the call may take before its time is out; 10 s where time is not what runs out."""
    return {"": 10.0, "total": TIMEOUT_S}.get(row.phase, BOUND_S)


def met_in_time(row, sdk, mode):
    """Meet a row's fault, again when the call ended too late."""
    for _ in range(TRIES):
        seen = met(row, sdk, mode)
        if seen[0].elapsed_s <= bound_s(row) + SLACK_S and seen[1]:
            break
    return seen


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_a_fault_becomes_its_error_and_the_next_call_works(row, sdk):
    """In each mode the call makes one request, raises the row's error in time, and the next call is answered."""
    with ThreadPoolExecutor(len(row.modes)) as pool:
        seen = list(pool.map(lambda mode: met_in_time(row, sdk, mode), row.modes))
    for mode, (ended, closed, requests, after) in zip(row.modes, seen, strict=True):
        error = ended.error
        assert error is not None, (mode, ended.reply)
        assert (type(error), error.message) == row.outcome(sdk, mode), mode
        assert getattr(error, "phase", "") == row.phase, mode
        assert getattr(error, "reason", "") == row.reason, mode
        assert getattr(error, "reached", True) is row.reached, mode
        assert error.status_code == row.status, mode
        delay = error.retry_after_s
        assert 0 < delay <= 25 * 3600 if row.retry_after_s == "midnight" else delay == row.retry_after_s, mode
        assert ended.elapsed_s <= bound_s(row) + SLACK_S, mode
        assert closed, f"{mode}: the socket is open after time ran out"
        assert requests == (row.place == "server"), f"{mode}: {requests} requests"
        assert row.place != "server" or after.text == "pong", mode
        assert not secrets_in(error), mode


def secrets_in(error):
    """Return what an error, or one behind it, tells of key and prompt: in its text, its fields, its frames."""
    told = []
    for each in (error, error.__cause__, error.__context__):
        if each is not None:
            frames = [
                frame for frame, _ in traceback.walk_tb(each.__traceback__) if "/tests/" not in frame.f_code.co_filename
            ]
            told += [str(each), repr(each), repr(vars(each)), *(repr(frame.f_locals) for frame in frames)]
    return [text for text in told if PROMPT in text or KEY.reveal() in text]


def test_the_document_is_current():
    """docs/fault-matrix.md tells what the rows tell, which the tests above have seen."""
    assert DOCUMENT.read_text(encoding="utf-8") == rendered(), "run python tests/fault_matrix.py"
