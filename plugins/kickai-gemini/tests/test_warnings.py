"""Nothing is printed by Google's clients, and the warning filters of the process are kept."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings

import pytest
from gemini_service import GeminiService
from kickai_providers_core.testing.faults import Cut, ErrorPiece, FaultServer, MalformedPiece, Silence, Stall

from kickai_gemini.warning_filter import PYTHON_VERSION, hide_known_warnings

CALL = """
import sys, warnings
from kickai_gemini.client import Gemini
from kickai_gemini.settings import GeminiSettings
from kickai_providers_core.values.requests import ChatRequest
from kickai_providers_core.values.secrets import Secret
before = list(warnings.filters)
provider = Gemini(GeminiSettings(base_url=sys.argv[1], api_key=Secret("k"), client=sys.argv[2]))
request = ChatRequest.of("ping")
print(provider.invoke(request, 10.0), "".join(chunk.text for chunk in provider.stream(request, 10.0)))
provider.close()
print([entry for entry in warnings.filters if entry not in before and entry[2] is FutureWarning])
"""


LEAVE = """
import asyncio, gc, sys
from contextlib import suppress
from kickai_gemini.client import Gemini
from kickai_gemini.settings import GeminiSettings
from kickai_providers_core.values.errors import ProviderError
from kickai_providers_core.values.requests import ChatRequest
from kickai_providers_core.values.secrets import Secret

async def leave(how):
    stream = provider.astream(ChatRequest.of("ping"), 10.0)
    async def read():
        async for _ in stream:
            pass
    if how == "read":
        with suppress(ProviderError):
            await read()
    elif how == "cancel":
        task = asyncio.create_task(read())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
    else:
        await anext(stream)
        if how == "close":
            await stream.aclose()
        del stream

url, sdk, *ways = sys.argv[1:]
for how in ways:
    times = {"first_token_timeout_s": 0.3, "idle_timeout_s": 0.2}
    settings = GeminiSettings(base_url=url, api_key=Secret("k"), client=sdk, **times)
    provider = Gemini(settings)
    asyncio.run(leave(how))
    provider.close()
    gc.collect()
print("left")
"""


def test_abandoned_stream_prints_nothing(sdk):
    """The event loop prints nothing when an async stream ends early or with an error."""
    ways = [
        (Cut(1, "fin"), "read"),
        (Cut(1, "clean"), "read"),
        (ErrorPiece(1), "read"),
        (MalformedPiece(1), "read"),
        (Stall(0), "read"),
        (Stall(1), "read"),
        (Stall(1), "cancel"),
        (Silence(), "cancel"),
        (Cut(2, "rst"), "close"),
        (Stall(2), "drop"),
    ]
    with FaultServer(GeminiService()) as server:
        server.script(*(fault for fault, _ in ways))
        command = [sys.executable, "-W", "always", "-c", LEAVE, server.url, sdk, *(how for _, how in ways)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.stderr, done.stdout) == ("", "left\n")
        assert server.wait_closed(2.0)


@pytest.mark.parametrize("flags", [[], ["-W", "error"], ["-W", "always"]], ids=["plain", "error", "always"])
def test_first_call_prints_nothing(sdk, flags, monkeypatch):
    """In a new interpreter with any warning filter, only the answer is printed."""
    monkeypatch.setenv("GOOGLE_API_KEY", "one")
    monkeypatch.setenv("GEMINI_API_KEY", "another")
    with FaultServer(GeminiService()) as server:
        command = [sys.executable, *flags, "-c", CALL, server.url, sdk]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stderr, done.stdout, done.returncode) == ("", "pong pong\n[]\n", 0)


def test_only_the_known_warning_is_hidden():
    """The known warning is hidden while a client is imported; others are shown."""
    messages = (
        "You are using a Python version (3.11) which google.api_core leaves",
        "something else",
    )
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with hide_known_warnings():
            for message in messages:
                warnings.warn(message, FutureWarning, stacklevel=1)
    assert [str(each.message) for each in shown] == ["something else"]


def test_filters_of_other_threads_are_kept():
    """Another thread's `catch_warnings` across the block loses no filters, and keeps none of ours."""
    before = list(warnings.filters)
    entered, loaded, left = threading.Event(), threading.Event(), threading.Event()

    def other():
        entered.wait(5)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="of the other thread")
            loaded.set()
            left.wait(5)

    thread = threading.Thread(target=other)
    thread.start()
    with hide_known_warnings():
        entered.set()
        loaded.wait(5)
    left.set()
    thread.join()
    assert list(warnings.filters) == before
    assert not [entry for entry in warnings.filters if entry[1] is not None and entry[1].pattern == PYTHON_VERSION]
