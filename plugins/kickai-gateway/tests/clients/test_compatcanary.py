"""CompatCanary, a scanner of APIs that claim to be compatible with OpenAI's."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

CANARY = os.environ.get("KICKAI_COMPATCANARY", "")

pytestmark = pytest.mark.skipif(not CANARY, reason="runs in nox -s gateway-clients")


def test_the_profile_of_chat_passes_completely(base_url):
    """100 of 100 points: models, answers, streams, a forced tool, and a strict schema."""
    done = subprocess.run(
        [CANARY, "scan", "--base-url", base_url, "--model", "one", "--profile", "chat", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"PATH": os.environ["PATH"]},
    )
    report = json.loads(done.stdout)
    failed = [each for each in report["results"] if each["status"] != "pass"]
    assert failed == []
    assert report["score"] == 100
