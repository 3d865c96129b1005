"""Only a client with the key, on this machine, can use the process of the model."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from kickai_providers_core import ProviderUnavailableError, Secret

from kickai_local.client import LocalProvider
from kickai_local.exchange import HttpExchange
from kickai_local.server_process import ProcessAddress
from kickai_local.settings import LocalSettings
from kickai_local.supervisor import Supervisor

pytestmark = pytest.mark.llama

ECHO = "Repeat exactly: KICKAI-42"
LOAD_S = 30.0

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def _provider(runtime):
    return LocalProvider(LocalSettings(), runtime)


def _pid(runtime):
    return runtime._process._child.pid


@linux
def test_no_port_is_opened(runtime):
    """On systems with Unix sockets the runtime listens at no port, and other users cannot open its directory."""
    directory = Path(runtime.get_address().result(LOAD_S).place).parent
    assert _ports(_pid(runtime)) == set()
    assert directory.stat().st_mode & 0o077 == 0


@linux
def test_a_port_is_on_loopback_alone(runtime_at_port, asking):
    """Without Unix sockets the port is on the loopback interface, and calls are answered through it."""
    address = runtime_at_port.get_address().result(LOAD_S)
    assert address.place[0] == "127.0.0.1"
    assert _ports(_pid(runtime_at_port)) == {("0100007F", address.place[1])}
    assert _provider(runtime_at_port).invoke(asking(ECHO), LOAD_S).text == "KICKAI-42"


@pytest.mark.parametrize("which", ["runtime", "runtime_at_port"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/props", "/slots", "/completion", "/metrics"])
def test_nothing_is_served_without_the_key(which, path, request):
    """A request without the key is refused, wherever the runtime listens."""
    address = request.getfixturevalue(which).get_address().result(LOAD_S)
    for key in ("", "wrong"):
        answer = _sent(
            address, f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
        )
        assert b"401" in answer.partition(b"\r\n")[0]


@pytest.mark.parametrize("path", ["/", "/index.html"])
def test_there_is_no_web_page(runtime, path):
    """The runtime's web page is switched off."""
    address = runtime.get_address().result(LOAD_S)
    answer = _sent(address, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"404" in answer.partition(b"\r\n")[0]


def test_each_process_has_a_key_of_its_own(runtime, runtime_at_port):
    """The key is random, different for each process, and not shown anywhere."""
    keys = [each.get_address().result(LOAD_S).key for each in (runtime, runtime_at_port)]
    assert keys[0] != keys[1]
    assert len(keys[0].reveal()) >= 32
    address = runtime.get_address().result()
    shown = repr((address, HttpExchange(address.key, b"{}").opening, vars(HttpExchange(address.key, b"{}"))))
    assert keys[0].reveal() not in shown
    arguments = Path(f"/proc/{_pid(runtime)}/cmdline")
    if arguments.exists():
        assert keys[0].reveal() not in arguments.read_text() + arguments.with_name("environ").read_text()


def test_a_wrong_key_is_an_error(runtime, asking):
    """A process that refuses the key is an error of the runtime."""

    class Strange(Supervisor):
        def get_address(self):
            address = runtime.get_address()
            address.result(LOAD_S)
            return type(
                "Done",
                (),
                {"result": lambda _, __: ProcessAddress(address.result().family, address.result().place, Secret("x"))},
            )()

    with pytest.raises(ProviderUnavailableError) as caught:
        _provider(Strange(Path("x.gguf"), LocalSettings())).invoke(asking(ECHO), LOAD_S)
    assert caught.value.status_code == 401


def _sent(address, text):
    with socket.socket(address.family) as connection:
        connection.settimeout(10.0)
        connection.connect(address.place)
        connection.sendall(text.encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def _ports(pid):
    """Return where a process listens, as hexadecimal host and port, out of /proc."""
    sockets = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                host, port = local.split(":")
                listening.add((host, int(port, 16)))
    return listening
