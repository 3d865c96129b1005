"""A process may be forked while another thread makes the first call."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import MODES

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

PRELUDE = """
import asyncio, json, os, signal, sys, threading, time, warnings
from kickai_providers_core import Resolver
from kickai_providers_core.values.secrets import Secret
from kickai_gemini.client import Gemini
from kickai_gemini.settings import GeminiSettings
warnings.simplefilter("ignore")
url, sdk, mode = sys.argv[1:]

def call(provider, bound, mode=mode):
    async def stream():
        return "".join([chunk.text async for chunk in provider.astream("hello", **bound)])
    async def invoke():
        return (await provider.ainvoke("hello", **bound)).text
    if mode == "invoke":
        return provider.invoke("hello", **bound).text
    if mode == "stream":
        return "".join(chunk.text for chunk in provider.stream("hello", **bound))
    return asyncio.run(invoke() if mode == "ainvoke" else stream())
"""

LATE = """
from kickai_providers_core import ChatRequest

class WithText:
    def __init__(self, provider):
        self.provider = provider
    def __getattr__(self, name):
        return lambda text, **bound: getattr(self.provider, name)(ChatRequest.of(text), **bound)

async def nothing():
    pass

asyncio.run(nothing())
Resolver.from_settings({}, env={}).close()  # imports what all calls need
provider = Gemini(GeminiSettings(base_url=url, api_key=Secret("k" * 20), client=sdk))
modules = set(sys.modules)
for each in mode.split(","):
    call(WithText(provider), {"timeout_s": 60.0}, each)
print(json.dumps(sorted(set(sys.modules) - modules)))
"""

FORK = """
trapped, forked = threading.Event(), threading.Event()
LOCKED = "_find_and_load_unlocked"  # the lock of a module is held here

def trap(frame, event, _):
    if event == "call" and frame.f_code.co_name == LOCKED and not trapped.is_set():
        trapped.set()
        forked.wait(30)

def first():
    sys.setprofile(trap)
    call(chain, {})

settings = {"providers": {"gemini": {"base_url": url, "api_key": "k" * 20, "client": sdk, "retries": 0}}}
resolver = Resolver.from_settings(settings, env={})
chain = resolver.chain("gemini", deadline_s=60)
thread = threading.Thread(target=first)
thread.start()
while thread.is_alive() and not trapped.wait(0.01):
    pass
pid = os.fork()
if pid == 0:
    signal.alarm(40)
    os._exit(0 if call(chain, {}).strip() == "pong" else 1)
forked.set()
thread.join()
_, status = os.waitpid(pid, 0)
print(json.dumps(status))
"""


def run(script, server, sdk, mode):
    """Run a script in a new process; return the JSON that it prints."""
    command = [sys.executable, "-c", PRELUDE + script, server.url.replace("127.0.0.1", "localhost"), sdk, mode]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_first_call_imports_nothing(server, sdk):
    """The first call takes no import lock that a child, forked meanwhile, would wait for."""
    assert run(LATE, server, sdk, ",".join(MODES)) == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_fork_during_the_first_call_does_not_hang_the_child(server, sdk, mode):
    """A child that is forked while an import lock is held gets its answer."""
    assert run(FORK, server, sdk, mode) == 0
