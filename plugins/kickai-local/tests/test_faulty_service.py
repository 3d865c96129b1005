"""The conformance tests with a server in place of the model's process, which fails in every way."""

from __future__ import annotations

import json
from concurrent.futures import Future
from socket import AF_INET
from types import MappingProxyType
from urllib.parse import urlsplit

import pytest
from attrs import evolve, frozen
from kickai_providers_core import FinishReason, Secret, hookimpl
from kickai_providers_core.testing import ProviderContract
from kickai_providers_core.testing.faults import Response

from kickai_local.client import LocalProvider
from kickai_local.plugin import plugin
from kickai_local.server_process import ProcessAddress
from kickai_local.settings import LocalSettings


class LlamaWire:
    """llama.cpp's server as it answers the one kind of request that the plugin sends: a stream."""

    def wants_stream(self, request):
        return True

    def reply(self, request, text, finish=FinishReason.STOP):
        raise NotImplementedError

    def stream(self, request, pieces, finish=FinishReason.STOP, *, finish_word="", usage=None, reasoning=""):
        deltas = [{"content": piece} for piece in pieces]
        if reasoning:
            deltas.insert(0, {"reasoning_content": reasoning})
        documents = [{"choices": [_choice(delta)]} for delta in deltas]
        documents.append({"choices": [_choice({}, finish.value if finish_word == "" else finish_word)]})
        tokens = request.json()["max_tokens"] if finish is FinishReason.LENGTH else 5
        counts = {"prompt_tokens": 11, "completion_tokens": tokens}
        if usage:
            counts = {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens}
        documents.append({"choices": [], "id": "1", "usage": counts})
        events = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in documents]
        return Response(headers={"content-type": "text/event-stream"}), [*events, b"data: [DONE]\n\n"]

    def error(self, request, status, kind):
        types = {"context_length": "exceed_context_size_error", "invalid_request": "invalid_request_error"}
        error = {"code": status, "message": request.body.decode(), "type": types.get(kind, "server_error")}
        return Response.json({"error": error}, status=status)


def _choice(delta, finish=None):
    return {"index": 0, "delta": delta, "finish_reason": finish}


@frozen(kw_only=True)
class ServedSettings(LocalSettings):
    """Settings of a local model that another server serves."""

    url: str = ""
    key: Secret | None = None


class Elsewhere:
    """A `Supervisor` whose server runs already."""

    name = "test-model"

    def __init__(self, settings):
        place = urlsplit(settings.url)
        self._address = Future()
        self._address.set_running_or_notify_cancel()
        self._address.set_result(ProcessAddress(AF_INET, (place.hostname, place.port), settings.key))

    def get_address(self):
        return self._address

    def abandon(self, address):
        assert address is self._address.result()

    def close(self):
        """Leave the server alone."""


class Served:
    """The plugin without the process: its provider calls a server that runs already."""

    @hookimpl
    def kickai_provider_info(self):
        return evolve(plugin.kickai_provider_info(), settings_class=ServedSettings)

    @hookimpl
    def kickai_create_provider(self, settings):
        return LocalProvider(settings, Elsewhere(settings))

    kickai_invoke_provider = staticmethod(plugin.kickai_invoke_provider)
    kickai_ainvoke_provider = staticmethod(plugin.kickai_ainvoke_provider)
    kickai_stream_provider = staticmethod(plugin.kickai_stream_provider)
    kickai_astream_provider = staticmethod(plugin.kickai_astream_provider)
    kickai_close_provider = staticmethod(plugin.kickai_close_provider)


served = Served()


@pytest.mark.slow
class TestWire(ProviderContract):
    """The provider keeps the contract on its protocol."""

    plugin = served
    wire = LlamaWire()
    needs_key = False
    speaks_tls = False
    never_says = frozenset({"auth", "quota", "model_not_found", "rate_limit", "content_filter"})
    expected_failures = MappingProxyType(
        {
            "test_the_model_is_asked_for": "an instance serves one model, and refuses the name of any other",
            "test_retry_after_seconds_are_kept": "a process on this machine states no delay",
            "test_a_retry_after_date_is_kept": "a process on this machine states no delay",
        }
    )

    def settings(self, url, key):
        """Return settings for the server."""
        return ServedSettings(url=url, key=key)
