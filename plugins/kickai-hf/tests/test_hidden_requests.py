"""A call makes one request: nothing is requested from the Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from hf_wire import HfWire
from kickai_providers_core.testing.faults import FaultServer, Silence

PROGRAM = """
import json, sys, warnings
warnings.simplefilter("error")
sys.path.insert(0, sys.argv[1])
from calling import MODES, call
from kickai_providers_core.values.secrets import Secret
from rerouted import provider_via_router
from kickai_hf.client import HuggingFace
from kickai_hf.settings import HuggingFaceSettings
url, token = sys.argv[2], Secret("hf_abc")
for settings in json.loads(sys.argv[3]):
    if settings.pop("own", False):
        provider = HuggingFace(HuggingFaceSettings(base_url=url, token=token, **settings))
    else:
        provider = provider_via_router(HuggingFaceSettings(token=token, **settings), url)
    for mode in MODES:
        ended = call(provider, mode, timeout_s=5.0)
        print(ended.text if ended.error is None else repr(ended.error))
    provider.close()
"""


def run(server, hub, all_settings, offline=""):
    """Call with each of the settings in all modes, in a process with its own Hub and an empty home folder."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": os.devnull,
        "HF_HUB_OFFLINE": offline,
        "HF_HUB_DISABLE_TELEMETRY": "",
        "DO_NOT_TRACK": "",
    }
    environment.pop("HF_TOKEN", None)
    command = [sys.executable, "-c", PROGRAM, os.path.dirname(__file__), server.url, json.dumps(all_settings)]  # noqa: PTH120
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


SETTINGS = (
    ({"own": True, "model": "org/m"}, "org/m"),
    ({"own": True}, None),
    ({"model": "org/m"}, "org/m"),
    ({"model": "org/m:cheapest"}, "org/m:cheapest"),
    ({"model": "org/m", "inference_provider": "together"}, "org/m:together"),
    ({"model": "org/m", "inference_provider": "hf-inference"}, "org/m:hf-inference"),
    ({"model": "org/m:novita", "inference_provider": "together"}, "org/m:novita"),
)
"""Settings, and the model that is then requested."""


def test_a_call_makes_one_request():
    """Nothing else is requested, with or without a named inference provider; a Hub that hangs does not matter."""
    with FaultServer(HfWire()) as server, FaultServer(HfWire(), Silence()) as hub:
        assert run(server, hub, [settings for settings, _ in SETTINGS]) == ["pong"] * 4 * len(SETTINGS)
        assert {request.path for request in server.requests} == {"/v1/chat/completions"}
        models = [request.json().get("model") for request in server.requests]
        assert models == [model for _, model in SETTINGS for _ in range(4)]
        assert hub.requests == []


def test_offline_mode_forbids_requests_to_the_router_only():
    """``HF_HUB_OFFLINE`` does not concern a ``base_url``."""
    with FaultServer(HfWire()) as server, FaultServer(HfWire()) as hub:
        lines = run(server, hub, [{"own": True}, {}], offline="1")
        assert lines[:4] == ["pong"] * 4
        assert all("UnusableProviderError('HF_HUB_OFFLINE" in line for line in lines[4:])
        assert (len(lines), len(server.requests)) == (8, 4)
