"""Faults of this machine, each named by the variable or file that causes it."""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
from contextlib import contextmanager

import pytest
from calling import MODES, call
from kickai_providers_core import ProviderUnavailableError, Secret, UnusableProviderError

from kickai_hf.client import HuggingFace
from kickai_hf.plugin import plugin
from kickai_hf.settings import HuggingFaceSettings

ROUTER = HuggingFaceSettings(token=Secret("hf_abc"), retries=0)
VARIABLES = (
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Remove all variables for the network."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@contextmanager
def recording_proxy():
    """Accept connections, record the first line of each, and refuse."""
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    client = listener.accept()[0]
                except OSError:
                    return
                with client:
                    seen.append(client.recv(4096).split(b"\r\n")[0])
                    client.sendall(b"HTTP/1.1 502 no way out\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", seen
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["", "http://", "HTTP://"])
def test_a_proxy_is_found_as_curl_finds_it(scheme, name, mode, monkeypatch):
    """``host:port`` means an HTTP proxy; if it refuses, the service was not reached."""
    with recording_proxy() as (address, seen):
        monkeypatch.setenv(name, f"{scheme}{address}")
        assert list(plugin.kickai_validate_provider(settings=ROUTER, online=False)) == []
        provider = HuggingFace(ROUTER)
        ended = call(provider, mode)
        provider.close()
    assert seen == [b"CONNECT router.huggingface.co:443 HTTP/1.1"]
    assert type(ended.error) is ProviderUnavailableError
    assert ended.error.reached is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "socks5://127.0.0.1:1"),
        ("ALL_PROXY", "socks5h://127.0.0.1:1"),
        ("https_proxy", "ftp://127.0.0.1:1"),
        ("HTTPS_PROXY", "https://127.0.0.1:1"),
        ("HTTPS_PROXY", "http://"),
        ("HTTPS_PROXY", "http://127.0.0.1:port"),
        ("all_proxy", "http://[::1"),
        ("HTTPS_PROXY", "127.0.0.1:99999"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSL_CERT_FILE", "/"),
        ("SSL_CERT_FILE", __file__),
        ("SSL_CERT_DIR", "/nowhere"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(name, value, monkeypatch):
    """Offline validation and creation both name it. A server without TLS is not affected."""
    monkeypatch.setenv(name, value)
    (problem,) = plugin.kickai_validate_provider(settings=ROUTER, online=False)
    assert name in str(problem)
    assert problem.hint
    assert problem.severity == "error"
    with pytest.raises(UnusableProviderError, match=name) as caught:
        HuggingFace(ROUTER)
    assert type(caught.value) is UnusableProviderError
    own = HuggingFaceSettings(base_url="http://127.0.0.1:1")
    assert list(plugin.kickai_validate_provider(settings=own, online=False)) == []
    HuggingFace(own).close()


@pytest.mark.parametrize("value", ["", "127.0.0.1:1"])
def test_a_proxy_that_is_not_for_the_service_does_not_matter(value, monkeypatch):
    """An empty variable counts as unset, and ``NO_PROXY`` is respected."""
    monkeypatch.setenv("HTTPS_PROXY", value and "nonsense://")
    monkeypatch.setenv("NO_PROXY", value and "*")
    assert list(plugin.kickai_validate_provider(settings=ROUTER, online=False)) == []


def test_offline_mode_is_a_problem_for_the_router_only(monkeypatch):
    """``HF_HUB_OFFLINE`` does not concern a ``base_url``."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (problem,) = plugin.kickai_validate_provider(settings=ROUTER, online=False)
    assert "HF_HUB_OFFLINE" in problem.message
    own = HuggingFaceSettings(base_url="http://127.0.0.1:1")
    assert list(plugin.kickai_validate_provider(settings=own, online=False)) == []


@pytest.mark.parametrize("mode", MODES)
def test_too_many_open_files_is_a_local_fault(mode, server, provide):
    """It is not a failure of the service."""
    provider = provide()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(asyncio.sleep(0))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        from calling import acall

        while True:
            try:
                held.append(socket.socket())
            except OSError:
                break
        if mode in {"ainvoke", "astream"}:
            ended = loop.run_until_complete(acall(provider, mode))
        else:
            ended = call(provider, mode)
    finally:
        for one in held:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    provider.close()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert type(ended.error) is UnusableProviderError
    assert "open files" in ended.error.message


def test_instances_do_not_share_connections(server, provide):
    """Each instance opens its own."""
    one, other = provide(), provide(timeout_s=3.0)
    for provider in (one, other, one, other):
        assert call(provider, "invoke").text == "pong"
    assert server.accepted_connections == 2
