"""The process of the model: how it starts, dies and ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from kickai_providers_core import ModelNotFoundError, ProviderUnavailableError, UnusableProviderError

from kickai_local import checks
from kickai_local.client import LocalProvider
from kickai_local.server_process import ProcessAddress
from kickai_local.settings import LocalSettings

pytestmark = pytest.mark.llama

ECHO = "Repeat exactly: KICKAI-42"
BUSY = {"type": "array", "items": {"enum": ["one", "two"]}, "minItems": 500}
LOAD_S = 30.0


def _provider(runtime):
    return LocalProvider(LocalSettings(), runtime)


def _pid(runtime):
    return runtime._process._child.pid


def test_a_process_that_died_is_started_again(runtime, asking):
    """A process that died between two calls is replaced, and the next call is answered."""
    provider = _provider(runtime)
    assert provider.invoke(asking(ECHO), LOAD_S).text == "KICKAI-42"
    first, place = _pid(runtime), Path(runtime.get_address().result().place)
    os.kill(first, signal.SIGKILL)
    runtime._process._child.wait()
    assert provider.invoke(asking(ECHO), LOAD_S).text == "KICKAI-42"
    assert _pid(runtime) != first
    assert not place.parent.exists()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_a_crash_is_an_error_of_that_call_alone(runtime, asking, call, mode):
    """Native code that takes its process down fails the call with a typed error, and the application lives on."""
    provider = _provider(runtime)
    call("invoke", provider, asking(ECHO))
    crash = threading.Timer(0.5, lambda: os.kill(_pid(runtime), signal.SIGSEGV))
    crash.start()
    with pytest.raises(ProviderUnavailableError):
        call(mode, provider, asking("Count.", json_schema=BUSY, max_tokens=250))
    crash.join()
    assert call(mode, provider, asking(ECHO))


@pytest.mark.slow
def test_a_socket_that_was_removed_is_replaced(runtime, asking):
    """When something has removed the socket, one call fails and the next one is answered by a new process."""
    provider = _provider(runtime)
    provider.invoke(asking(ECHO), LOAD_S)
    first = runtime._process._child
    shutil.rmtree(Path(runtime.get_address().result().place).parent)
    with pytest.raises(ProviderUnavailableError):
        provider.invoke(asking(ECHO), LOAD_S)
    assert first.poll() is not None
    assert provider.invoke(asking(ECHO), LOAD_S).text == "KICKAI-42"


def test_a_process_dies_with_its_application():
    """When the application is killed, its model's process ends by itself and leaves no directory behind."""
    script = """
import time
from kickai_local.client import LocalProvider
from kickai_local.settings import LocalSettings
runtime = LocalProvider(LocalSettings(context_window=256))._runtime
place = runtime.get_address().result().place
print(runtime._process._child.pid, place, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as application:
        pid, place = application.stdout.readline().split()
        application.kill()
    assert _until(lambda: not _alive(int(pid)))
    assert _until(lambda: not Path(place).parent.exists())


@pytest.mark.slow
@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "loading"])
def test_closing_frees_everything(runtime, asking, loaded):
    """Closing ends process and threads, and removes socket and directory, also while the model still loads."""
    before = set(threading.enumerate())
    pending = runtime.get_address()
    if loaded:
        assert _provider(runtime).invoke(asking(ECHO), LOAD_S).text
    began = time.monotonic()
    process = runtime._process
    runtime.close()
    assert time.monotonic() - began < 10.0
    assert _until(lambda: set(threading.enumerate()) == before)
    assert process._child is None or not _alive(process._child.pid)
    assert not Path(process._directory or "/nowhere").exists()
    assert isinstance(pending.result(0), ProcessAddress if loaded else ProviderUnavailableError)


def test_closing_ends_calls_under_way(runtime, asking):
    """A call that is under way when the provider is closed fails at once with a typed error."""
    provider = _provider(runtime)
    provider.invoke(asking(ECHO), LOAD_S)
    closing = threading.Timer(0.5, provider.close)
    closing.start()
    began = time.monotonic()
    with pytest.raises(ProviderUnavailableError):
        provider.invoke(asking("Count.", json_schema=BUSY, max_tokens=250), LOAD_S)
    assert time.monotonic() - began < 10.0
    closing.join()


def test_a_closed_provider_stays_closed(runtime, asking):
    """After closing nothing is started again, and closing again does nothing."""
    provider = _provider(runtime)
    provider.close()
    provider.close()
    with pytest.raises(ProviderUnavailableError, match="closed"):
        provider.invoke(asking(ECHO), LOAD_S)
    assert runtime._process is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [("cut", "corrupted or incomplete"), ("header", "version"), ("magic", "failed to read header")],
)
def test_a_damaged_model_is_reported(tmp_path, asking, created, call, damage, reason):  # noqa: PLR0917  fixtures, by name
    """A file that is not a whole model fails the call with llama.cpp's reason."""
    whole = checks.find_model_file(LocalSettings())
    file = tmp_path / "damaged.gguf"
    with whole.open("rb") as opened:
        file.write_bytes({"cut": opened.read(3_000_000), "header": b"GGUF" + b"\xff" * 999, "magic": b"GGUF"}[damage])
    provider = created(model_path=str(file))
    for mode in ("invoke", "astream"):
        with pytest.raises(ModelNotFoundError, match=reason):
            call(mode, provider, asking(ECHO))


def test_a_runtime_that_is_not_installed_is_reported(monkeypatch, asking, created, call):
    """Without xllamacpp a call fails with a typed error that names it."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    with pytest.raises(UnusableProviderError, match="No module named 'xllamacpp'"):
        call("invoke", created(model_path=__file__), asking(ECHO))


def test_a_process_that_cannot_start_is_reported(monkeypatch, asking, created, call, tmp_path):
    """Without an interpreter to run, a call fails with a typed error, and leaves no directory behind."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(UnusableProviderError, match="could not be started"):
        call("invoke", created(model_path=__file__), asking(ECHO))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_import_paths_that_are_not_strings_are_ignored(monkeypatch, asking, runtime):
    """Python ignores them too, and the runtime starts."""
    monkeypatch.setattr(sys, "path", [Path("/not/text"), b"bytes", *sys.path])
    assert _provider(runtime).invoke(asking(ECHO), LOAD_S).text == "KICKAI-42"


def test_signals_of_the_terminal_do_not_reach_the_process(runtime):
    """Ctrl-C goes to the application alone: the process has its own session."""
    runtime.get_address().result(LOAD_S)
    assert os.getsid(_pid(runtime)) == _pid(runtime) != os.getsid(0)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_application_has_a_process_of_its_own():
    """After a fork parent and child each have a process, and closing one leaves the other's running."""
    script = f"""
import os
from kickai_local.client import LocalProvider
from kickai_local.settings import LocalSettings
from kickai_providers_core.values.requests import ChatRequest
provider = LocalProvider(LocalSettings(context_window=256))
def ask():
    text = provider.invoke(ChatRequest(messages=ChatRequest.of({ECHO!r}).messages, temperature=0.0), 60.0).text
    return f"{{text}} {{provider._runtime._process._child.pid}}"
print(ask(), flush=True)
forked = os.fork()
if not forked:
    print(ask(), flush=True)
    provider.close()
    os._exit(0)
os.waitpid(forked, 0)
print(ask(), flush=True)
provider.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, other, again = done.stdout.splitlines()
    assert first == again
    assert first != other
    assert {line.split()[0] for line in (first, other)} == {"KICKAI-42"}


@pytest.mark.slow
def test_a_long_temporary_path_means_a_port(monkeypatch, asking, call, created, tmp_path):
    """Where the path of a socket would be too long, a loopback port is used."""
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    provider = created(context_window=256)
    assert call("invoke", provider, asking(ECHO))[0].text == "KICKAI-42"
    assert provider._runtime.get_address().result().family is socket.AF_INET
    assert list(deep.iterdir()) == []


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def _until(true, within_s=10.0):
    ends = time.monotonic() + within_s
    while not true():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True
