"""That nothing is asked but the question: no list of the Hub's, no provider mapping, no model look-up."""

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
from kickai_hf.provider import HuggingFace
from kickai_hf.settings import HuggingFaceSettings
url, token = sys.argv[2], Secret("hf_abc")
for told in json.loads(sys.argv[3]):
    if told.pop("own", False):
        provider = HuggingFace(HuggingFaceSettings(base_url=url, token=token, **told))
    else:
        provider = provider_via_router(HuggingFaceSettings(token=token, **told), url)
    for mode in MODES:
        ended = call(provider, mode, timeout_s=5.0)
        print(ended.text if ended.error is None else repr(ended.error))
    provider.close()
"""


def run(server, hub, told, offline=""):
    """Call with each settings in all four modes, in a process of its own that has a Hub of ours and an empty home."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": os.devnull,
        "HF_HUB_OFFLINE": offline,
        "HF_HUB_DISABLE_TELEMETRY": "",
        "DO_NOT_TRACK": "",
    }
    environment.pop("HF_TOKEN", None)
    command = [sys.executable, "-c", PROGRAM, os.path.dirname(__file__), server.url, json.dumps(told)]  # noqa: PTH120
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
"""What is set, and the model that is asked for then."""


def test_a_call_makes_one_request():
    """Each call asks its question and nothing else, be the provider named or not; a Hub that hangs hinders nobody."""
    with FaultServer(HfWire()) as server, FaultServer(HfWire(), Silence()) as hub:
        assert run(server, hub, [told for told, _ in SETTINGS]) == ["pong"] * 4 * len(SETTINGS)
        assert {request.path for request in server.requests} == {"/v1/chat/completions"}
        asked = [request.json().get("model") for request in server.requests]
        assert asked == [model for _, model in SETTINGS for _ in range(4)]
        assert hub.requests == []


def test_offline_mode_forbids_the_router_alone():
    """HF_HUB_OFFLINE keeps requests from Hugging Face, and not from a server of one's own."""
    with FaultServer(HfWire()) as server, FaultServer(HfWire()) as hub:
        told = run(server, hub, [{"own": True}, {}], offline="1")
        assert told[:4] == ["pong"] * 4
        assert all("UnusableProviderError('HF_HUB_OFFLINE" in line for line in told[4:])
        assert (len(told), len(server.requests)) == (8, 4)
