"""Which token is really sent, seen on the wire: from the environment, from the disk, and after a redirect."""

from __future__ import annotations

import pytest
from calling import MODES, call
from hf_wire import HfWire
from kickai_providers_core import AuthenticationError, ProviderUnavailableError, Resolver, Secret
from kickai_providers_core.testing.faults import FaultServer, Redirect, Status
from rerouted import provider_via_router

from kickai_hf.provider import HuggingFace
from kickai_hf.settings import HuggingFaceSettings


@pytest.fixture
def lying_around(monkeypatch, tmp_path):
    """Leave tokens everywhere where the vendor's client looks for one."""
    (tmp_path / "token").write_text("hf_on_disk")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", "hf_in_environment")
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "hf_in_environment")


@pytest.mark.usefixtures("lying_around")
@pytest.mark.parametrize("mode", MODES)
def test_no_token_that_lies_around_is_sent(mode, server, provide):
    """A base address without a token gets none, although the vendor's client would send what it finds."""
    assert call(provide(token=None), mode).text == "pong"
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("mode", MODES)
def test_a_token_that_was_not_sent_is_told(mode, server, provide):
    """A server that wants a token, where the settings name none, is not told to be refusing one."""
    server.default = Status(401, "auth")
    ended = call(provide(token=None, hub_token=Secret("hf_env")), mode)
    assert isinstance(ended.error, AuthenticationError)
    assert "this instance has none" in ended.error.message
    assert "this instance has none" not in call(provide(), mode).error.message


@pytest.mark.parametrize("mode", MODES)
def test_the_named_token_is_sent(mode, server, provide):
    """A base address gets exactly the token that its settings name."""
    assert call(provide(token=Secret("named"), hub_token=Secret("hf_other")), mode).text == "pong"
    assert server.requests[0].headers["authorization"] == "Bearer named"


@pytest.mark.parametrize("mode", MODES)
def test_the_router_gets_the_environments_token(mode, server):
    """Without a base address the environment's token is the one that is meant."""
    provider = provider_via_router(HuggingFaceSettings(hub_token=Secret("hf_env")), server.url)
    assert call(provider, mode).text == "pong"
    provider.close()
    assert server.requests[0].headers["authorization"] == "Bearer hf_env"


@pytest.mark.parametrize("instance", ["huggingface", "hf", "tgi"])
def test_the_environment_does_not_reach_a_base_address(instance, server):
    """Not even the instance that is named after the plugin sends the environment's token to a base address."""
    settings = {"providers": {instance: {"kind": "huggingface", "base_url": server.url}}}
    with Resolver.from_settings(settings, env={"HF_TOKEN": "hf_env", "HUGGINGFACE_API_TOKEN": "hf_env"}) as resolver:
        assert resolver.chain(instance).invoke("ping").text == "pong"
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_takes_nothing_along(mode, code, server, provide):
    """Another address gets neither the token nor the prompt, nor even a request."""
    with FaultServer(HfWire()) as elsewhere:
        server.script(Redirect(f"{elsewhere.url}/v1/chat/completions", code))
        assert isinstance(call(provide(), mode).error, ProviderUnavailableError)
        assert elsewhere.requests == []
        assert elsewhere.accepted_connections == 0


@pytest.mark.parametrize(
    "settings",
    [{}, {"token": Secret("sk-abc")}, {"base_url": "http://example.org", "token": Secret("t")}, {"base_url": "x"}],
)
def test_a_provider_that_would_leak_is_not_created(settings):
    """What the rule forbids cannot be created, even when nobody has validated the settings."""
    with pytest.raises(AuthenticationError) as caught:
        HuggingFace(HuggingFaceSettings(**settings))
    assert "sk-abc" not in str(caught.value)


def test_a_proxy_does_not_see_what_is_not_encrypted(server, provide, monkeypatch):
    """A plain address, which is loopback, is asked without the proxy that the environment names."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert call(provide(), "invoke").text == "pong"
    assert call(provide(), "ainvoke").text == "pong"


def test_headers_and_billing_are_sent(server):
    """Headers of the settings, and who pays, go along."""
    settings = HuggingFaceSettings(token=Secret("hf_x"), bill_to="club", headers={"X-Team": "red"})
    provider = provider_via_router(settings, server.url)
    assert call(provider, "invoke").text == "pong"
    provider.close()
    sent = server.requests[0].headers
    assert (sent["x-hf-bill-to"], sent["x-team"]) == ("club", "red")
    assert sent["user-agent"].startswith("kickai-hf/")
