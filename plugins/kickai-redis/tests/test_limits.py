"""Limits per minute and per day of an application whose processes share a server."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from application import open_store, wait_until
from kickai_providers_core.stores.api import StoreError
from servers import KINDS, running

WORKER = """
import json, sys, time
sys.path.insert(0, {folder!r})
from application import create_resolver
from kickai_providers_core import ChainExhaustedError, DeadlineExceededError, ProviderSettings

times = []
with create_resolver({url!r}, providers={{"plain": ProviderSettings({limit})}}) as resolver:
    chain = resolver.chain("plain")
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range({requests}):
        try:
            chain.invoke("Who can play?", max_tokens=1, deadline_s=0.5)
        except (ChainExhaustedError, DeadlineExceededError) as error:
            assert [skip.reason.value for skip in error.trace.skipped] in (["busy"], ["daily_limit"]), error
            time.sleep(0.05)
        else:
            times.append(time.time())
            time.sleep(0.01)
print(json.dumps(times))
"""


def start(stack, url, limit, requests):
    """Start a process, and wait until it is ready."""
    program = WORKER.format(folder=str(Path(__file__).parent), url=url, limit=limit, requests=requests)
    command = [sys.executable, "-c", program]
    process = stack.enter_context(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    )
    stack.callback(process.kill)
    if process.stdout.readline() != "ready\n":
        _, errors = process.communicate(timeout=60)
        pytest.fail(f"the process ended with {process.returncode}: {errors}")
    return process


def finish(process):
    """Return when the calls of a process ended."""
    out, errors = process.communicate("go\n", timeout=300)
    assert process.returncode == 0, errors
    return json.loads(out)


def run_together(stack, url, limit, requests):
    """Let three processes call at the same time, and return when their calls ended, in order."""
    workers = [start(stack, url, limit, requests) for _ in range(3)]
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return sorted(at for worker in workers for at in finish(worker))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_applications_never_exceed_a_limit_per_day(kind):
    """Four processes use it up, and exceed it by less than one block.

    They exceed it only when the server is slow to answer a process that has no permits yet, which then makes one call.
    """
    with running(kind) as server, ExitStack() as stack:
        url = f"redis://{server.address}?timeout_s=30"
        times = run_together(stack, url, "requests_per_day=100", 45)
        assert 70 <= len(times) < 110  # a process may end with permits that the others lacked
        times += finish(start(stack, url, "requests_per_day=100", 130))
        assert 100 <= len(times) < 110


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_applications_never_exceed_a_limit_per_minute(kind):
    """In no minute do three processes exceed the limit by a block."""
    with running(kind) as server, ExitStack() as stack:
        url = f"redis://{server.address}?timeout_s=30"
        times = run_together(stack, url, "requests_per_minute=40", 25)
        assert len(times) >= 10
        assert all(sum(start <= at < start + 60.0 for at in times) < 44 for start in times)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_process_without_a_server_has_one_permit_a_minute(kind):
    """A process that never had a share makes one call in a minute while the server is gone."""
    with running(kind) as server, ExitStack() as stack:
        url = f"redis://{server.address}?timeout_s=0.5"
        server.kill()
        with pytest.raises(StoreError):
            open_store(url).check()
        assert len(finish(start(stack, url, "requests_per_minute=40", 6))) == 1
        server.start()
        store = open_store(url)
        wait_until(lambda: _works(store))
        store.close()
        assert len(finish(start(stack, url, "requests_per_minute=40", 30))) > 1


def _works(store):
    try:
        store.check()
    except StoreError:
        return False
    return True
