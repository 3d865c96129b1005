"""After a fork a child starts its own process, and the parent's process ends with the parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = [
    pytest.mark.llama,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

ASK = """
import os, signal, sys, time
from kickai_providers_core import Resolver
settings = {"providers": {"local": {"context_window": 256, "max_tokens": 4}}}
resolver = Resolver.from_settings(settings, env={})
chain = resolver.chain("local", deadline_s=120)
instance = resolver.registry.find("local")
server = lambda: instance._creation.get(60.0)._runtime._process._child.pid
chain.invoke("hi")
"""


def run(script):
    """Run a script in a process of its own; return what it wrote, by line."""
    ran = subprocess.run([sys.executable, "-c", ASK + script], capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout.split()


@pytest.mark.parametrize("end", ["resolver.close(); sys.exit(0)", "sys.exit(0)", "os._exit(0)"])
def test_a_child_starts_its_own_process_and_leaves_its_parents_alone(end):
    """Whether the child closes its resolver, exits or just ends."""
    own, child, again = run(f"""
print(server(), flush=True)
pid = os.fork()
if pid == 0:
    signal.alarm(200)
    chain.invoke("hi")
    print(server(), flush=True)
    {end}
assert os.waitpid(pid, 0)[1] == 0
chain.invoke("hi")
print(server(), flush=True)
resolver.close()
""")
    assert own == again != child


def test_a_child_without_calls_leaves_its_parents_process_alone():
    """A worker that never used the model ends without ending the parent's."""
    before, after = run("""
print(server(), flush=True)
pid = os.fork()
if pid == 0:
    resolver.close()
    sys.exit(0)
os.waitpid(pid, 0)
chain.invoke("hi")
print(server(), flush=True)
resolver.close()
""")
    assert before == after


def test_the_process_ends_with_its_parent_although_a_child_lives_on():
    """The child has a copy of the pipe that the process watches."""
    server, child = map(
        int,
        run("""
pid = os.fork()
if pid == 0:
    os.close(1), os.close(2)
    signal.alarm(200)
    time.sleep(200)
    os._exit(0)
print(server(), pid, flush=True)
os._exit(0)
"""),
    )
    try:
        ends = time.monotonic() + 60
        while os.path.exists(f"/proc/{server}") and time.monotonic() < ends:  # noqa: PTH110
            time.sleep(0.1)
        assert not os.path.exists(f"/proc/{server}")  # noqa: PTH110
    finally:
        os.kill(child, signal.SIGKILL)
