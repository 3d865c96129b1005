"""The process of the model prints nothing and uses nothing while it is idle."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import kickai_local.model_server
from kickai_local.client import LocalProvider
from kickai_local.settings import LocalSettings

pytestmark = pytest.mark.llama

ECHO = "Repeat exactly: KICKAI-42"
LOAD_S = 30.0


def _provider(runtime):
    return LocalProvider(LocalSettings(), runtime)


def _pid(runtime):
    return runtime._process._child.pid


def test_native_code_prints_nothing(tmp_path):
    """Not a byte of llama.cpp reaches the application's terminal, whether it answers, refuses or fails to load."""
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF" * 99)
    script = f"""
from kickai_local.client import LocalProvider
from kickai_local.settings import LocalSettings
from kickai_providers_core.values.errors import ProviderError
from kickai_providers_core.values.requests import ChatRequest, Message
from kickai_local import checks
def call(text, settings, **fields):
    provider = LocalProvider(settings)
    try:
        provider.invoke(ChatRequest(messages=(Message(role="user", content=text),), max_tokens=4, **fields), 60.0)
    except ProviderError as exc:
        print(type(exc).__name__)
    provider.close()
small = LocalSettings(context_window=256)
call("hi", small)
call("too long " * 999, small)
call("hi", small, json_schema={{"type": "nonsense"}})
call("hi", LocalSettings(model_path={str(damaged)!r}))
print(len(checks.find_problems(small, online=True)))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    wanted = ["ContextLengthExceededError", "UnsupportedRequestError", "ModelNotFoundError", "0"]
    assert (done.stdout.split(), done.stderr) == (wanted, "")


@pytest.mark.slow
def test_an_idle_process_computes_nothing(runtime, asking):
    """A loaded model without calls uses no processor time."""
    _provider(runtime).invoke(asking(ECHO), LOAD_S)
    stat = Path(f"/proc/{_pid(runtime)}/stat")
    if not stat.exists():
        pytest.skip("reads /proc")
    before = stat.read_text().split()[13:15]
    time.sleep(1.0)
    assert sum(map(int, stat.read_text().split()[13:15])) - sum(map(int, before)) <= 2


def test_the_script_needs_nothing_of_the_package():
    """The process's script runs by itself: it imports the standard library alone."""
    source = Path(kickai_local.model_server.__file__).read_text(encoding="utf-8")
    imported = {
        line.split()[1].partition(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))
    }
    assert imported <= set(sys.stdlib_module_names)
