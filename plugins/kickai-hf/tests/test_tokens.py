"""The token that is sent: from the settings, the environment, the disk, and after a redirect."""

from __future__ import annotations

import pytest
from calling import MODES, call
from hf_wire import HfWire
from kickai_providers_core import AuthenticationError, ProviderUnavailableError, Resolver, Secret
from kickai_providers_core.testing.faults import FaultServer, Redirect, Status
from rerouted import provider_via_router

from kickai_hf.client import HuggingFace
from kickai_hf.settings import HuggingFaceSettings


@pytest.fixture
def lying_around(monkeypatch, tmp_path):
    """Put tokens in every place where the vendor's client looks for one."""
    (tmp_path / "token").write_text("hf_on_disk")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", "hf_in_environment")
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "hf_in_environment")


@pytest.mark.usefixtures("lying_around")
@pytest.mark.parametrize("mode", MODES)
def test_only_a_configured_token_is_sent(mode, server, provide):
    """A ``base_url`` without a token gets none; the vendor's client would send any that it finds."""
    assert call(provide(token=None), mode).text == "pong"
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("mode", MODES)
def test_the_error_says_that_no_token_was_sent(mode, server, provide):
    """With a token, the error says that the service does not accept it."""
    server.default = Status(401, "auth")
    ended = call(provide(token=None, hub_token=Secret("hf_env")), mode)
    assert isinstance(ended.error, AuthenticationError)
    assert "this instance has none" in ended.error.message
    assert "this instance has none" not in call(provide(), mode).error.message


@pytest.mark.parametrize("mode", MODES)
def test_the_named_token_is_sent(mode, server, provide):
    """A ``base_url`` gets the token in its settings."""
    assert call(provide(token=Secret("named"), hub_token=Secret("hf_other")), mode).text == "pong"
    assert server.requests[0].headers["authorization"] == "Bearer named"


@pytest.mark.parametrize("mode", MODES)
def test_the_router_gets_the_environments_token(mode, server):
    """Without a ``base_url`` the token from the environment is used."""
    provider = provider_via_router(HuggingFaceSettings(hub_token=Secret("hf_env")), server.url)
    assert call(provider, mode).text == "pong"
    provider.close()
    assert server.requests[0].headers["authorization"] == "Bearer hf_env"


@pytest.mark.parametrize("instance", ["huggingface", "hf", "tgi"])
def test_a_token_from_the_environment_does_not_reach_base_url(instance, server):
    """This holds for an instance named after the plugin, too."""
    settings = {"providers": {instance: {"kind": "huggingface", "base_url": server.url}}}
    with Resolver.from_settings(settings, env={"HF_TOKEN": "hf_env", "HUGGINGFACE_API_TOKEN": "hf_env"}) as resolver:
        assert resolver.chain(instance).invoke("ping").text == "pong"
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(mode, code, server, provide):
    """The other address gets no request."""
    with FaultServer(HfWire()) as elsewhere:
        server.script(Redirect(f"{elsewhere.url}/v1/chat/completions", code))
        assert isinstance(call(provide(), mode).error, ProviderUnavailableError)
        assert elsewhere.requests == []
        assert elsewhere.accepted_connections == 0


@pytest.mark.parametrize(
    "settings",
    [{}, {"token": Secret("sk-abc")}, {"base_url": "http://example.org", "token": Secret("t")}, {"base_url": "x"}],
)
def test_a_provider_that_would_leak_a_token_cannot_be_created(settings):
    """Creation checks the settings, even when validation was skipped."""
    with pytest.raises(AuthenticationError) as caught:
        HuggingFace(HuggingFaceSettings(**settings))
    assert "sk-abc" not in str(caught.value)


def test_no_proxy_is_used_without_tls(server, provide, monkeypatch):
    """It would see the request."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert call(provide(), "invoke").text == "pong"
    assert call(provide(), "ainvoke").text == "pong"


def test_headers_and_billing_are_sent(server):
    """The router gets the headers of the settings, and the organisation to bill."""
    settings = HuggingFaceSettings(token=Secret("hf_x"), bill_to="club", headers={"X-Team": "red"})
    provider = provider_via_router(settings, server.url)
    assert call(provider, "invoke").text == "pong"
    provider.close()
    sent = server.requests[0].headers
    assert (sent["x-hf-bill-to"], sent["x-team"]) == ("club", "red")
    assert sent["user-agent"].startswith("kickai-hf/")
