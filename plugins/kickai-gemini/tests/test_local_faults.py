"""Faults of this machine are named, and do not count as outages."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from contextlib import aclosing, closing, contextmanager, suppress
from pathlib import Path

import pytest
from conftest import KEY, MODES
from kickai_providers_core import AuthenticationError, Capability, ChatRequest, ProviderError, UnusableProviderError
from kickai_providers_core.testing.faults import Status

from kickai_gemini import capabilities, client
from kickai_gemini.client import Gemini
from kickai_gemini.plugin import plugin
from kickai_gemini.settings import GeminiSettings

VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")
BUNDLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Remove the variables of the machine that runs the tests."""
    for name in (*VARIABLES, *BUNDLES):
        monkeypatch.delenv(name, raising=False)


FAULTS = [
    ("HTTPS_PROXY", "socks5://127.0.0.1:1"),
    ("all_proxy", "socks5h://127.0.0.1:1"),
    ("https_proxy", "http://"),
    ("HTTPS_PROXY", "127.0.0.1:99999"),
    ("HTTPS_PROXY", "ftp://127.0.0.1:1"),
    *[(name, "/nowhere/ca.pem") for name in BUNDLES],
]


@pytest.mark.parametrize(("name", "value"), FAULTS)
def test_unusable_variable_is_named(sdk, monkeypatch, name, value):
    """A proxy or certificates that cannot be used are found offline, and named before anything is sent."""
    monkeypatch.setenv(name, value)
    settings = GeminiSettings(api_key=KEY, client=sdk)
    (problem,) = plugin.kickai_validate_provider(settings, online=False)
    assert name in str(problem)
    assert name in problem.missing
    assert problem.severity == "error"
    with pytest.raises(UnusableProviderError, match=name) as caught:
        Gemini(settings)
    assert type(caught.value) is UnusableProviderError
    plain = GeminiSettings(api_key=KEY, client=sdk, base_url="http://127.0.0.1:1")
    assert list(plugin.kickai_validate_provider(plain, online=False)) == []


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("mode", MODES)
def test_proxy_without_a_scheme_is_used(calls, monkeypatch, name, mode):
    """``host:port`` means ``http://host:port``, as in curl; waiting for the proxy counts as connecting."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv(name, f"127.0.0.1:{proxy.getsockname()[1]}")
        call = calls(base_url="https://service.test", connect_timeout_s=0.3)
        error = call(mode).error
        proxy.settimeout(5)
        with closing(proxy.accept()[0]) as connection:
            assert connection.recv(65536).startswith(b"CONNECT service.test:443 ")
    assert error.phase == "connect"


@contextmanager
def no_more_files():
    """Let this process open no more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        with suppress(OSError):  # fills the gaps below the highest
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in held:
            os.close(each)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("mode", MODES)
def test_too_many_open_files_are_a_local_fault(calls, mode):
    """The error names too many open files when no connection can be opened."""
    provider = calls().provider
    request = ChatRequest.of("ping")

    async def on_a_loop():
        with no_more_files():
            if mode == "ainvoke":
                return await provider.ainvoke(request, 5.0)
            async with aclosing(provider.astream(request, 5.0)) as stream:
                return [chunk async for chunk in stream]

    def here():
        with no_more_files():
            return list(provider.stream(request, 5.0)) if mode == "stream" else provider.invoke(request, 5.0)

    with pytest.raises(UnusableProviderError, match="open files") as caught:
        asyncio.run(on_a_loop()) if mode.startswith("a") else here()
    assert type(caught.value) is UnusableProviderError


@pytest.mark.parametrize("raised", [ImportError("x", name="canary_package"), RuntimeError("x"), SyntaxError("x")])
def test_client_that_cannot_be_imported_is_named(sdk, monkeypatch, raised):
    """The error names the client and, if known, the missing package, whatever the import raises."""

    def fail(_):
        raise raised

    monkeypatch.setattr(client, "import_module", fail)
    with pytest.raises(UnusableProviderError, match=f"{sdk} cannot be imported") as caught:
        Gemini(GeminiSettings(api_key=KEY, client=sdk))
    assert ("canary_package" in str(caught.value)) is isinstance(raised, ImportError)


def test_client_that_is_not_installed_is_named(monkeypatch):
    """Without any client the error names the command that installs one."""
    monkeypatch.setattr(client, "choose_sdk", lambda _: None)
    with pytest.raises(UnusableProviderError, match="pip install"):
        Gemini(GeminiSettings(api_key=KEY))


@pytest.mark.parametrize(
    ("model", "lacks"), [("gemini-3.8-flash", set()), ("gemma-3-27b-it", {Capability.TOOLS, Capability.JSON_SCHEMA})]
)
def test_capabilities_depend_on_client_and_model(sdk, model, lacks):
    """The client and the model decide what an instance can do."""
    every = {Capability.TOOLS, Capability.JSON_SCHEMA, Capability.IMAGES, Capability.SEED}
    old = {Capability.SEED} if sdk == "google-generativeai" else set()
    for settings, requested in ((GeminiSettings(client=sdk), model), (GeminiSettings(client=sdk, model=model), None)):
        assert plugin.kickai_provider_capabilities(settings, requested) == every - old - lacks


def test_capabilities_are_unknown_without_a_client(monkeypatch):
    """The capabilities of an instance without a client are unknown."""
    monkeypatch.setattr(capabilities, "choose_sdk", lambda _: None)
    assert plugin.kickai_provider_capabilities(GeminiSettings(), None) is None


@pytest.mark.parametrize("mode", MODES)
def test_service_message_is_exposed_on_request(calls, server, mode):
    """An error has the service's message if a setting asks for it, and never a key."""
    body = b'{"error": {"status": "INVALID_ARGUMENT", "message": "bad: AIza-canary-key, AIza%s"}}' % (b"x" * 35)
    for expose in (True, False):
        server.script(Status(400, "", {}, body))
        error = calls(expose_service_messages=expose)(mode).error
        assert isinstance(error, ProviderError)
        assert not isinstance(error, AuthenticationError)
        assert error.service_message == ("bad: ***, ***" if expose else "")
        assert "AIza" not in f"{error}{error!r}"
