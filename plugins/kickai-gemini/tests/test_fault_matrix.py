"""Every fault of the matrix, in each mode, with both clients on a real socket."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_rows import SECTIONS
from gemini_service import GeminiService
from kickai_providers_core.testing import FaultMatrix

from kickai_gemini.plugin import plugin
from kickai_gemini.sdk import is_sdk_usable
from kickai_gemini.settings import GeminiSettings

INTRODUCTION = """\
# Faults and errors

For each fault of the service, the error that the provider raises. The tests cause every fault on a real socket, with
both of Google's clients, in each mode in which it can happen: {faults} faults, {cells} cells for each client. The
server is the fault server of `kickai_providers_core.testing`. It speaks the REST protocol of the Gemini API as its
reference documents it, in JSON and server-sent events. In each cell

* the call makes one request, or none when the service cannot be reached;
* when a timeout expires, the call ends at most 0.25 s later and its connection is closed;
* the error contains neither the key nor the prompt;
* the next call of the same provider is answered;
* after the provider is closed, no connection, task or thread is left.
"""


class Gemini(FaultMatrix):
    """What is the same for both clients."""

    __test__ = False

    plugin = plugin
    wire = GeminiService()
    model = "gemini-3.5-flash-lite"
    rows = SECTIONS
    document = Path(__file__).parents[1] / "docs" / "fault-matrix.md"
    introduction = INTRODUCTION
    patience_s = 0.4


@pytest.mark.skipif(not is_sdk_usable("google-genai"), reason="google-genai is not installed")
class TestGenai(Gemini):
    """Each row with google-genai."""

    __test__ = True

    def settings(self, url, key):
        """Return settings for the server of a test."""
        return GeminiSettings(base_url=url, api_key=key, client="google-genai")


@pytest.mark.skipif(not is_sdk_usable("google-generativeai"), reason="google-generativeai is not installed")
class TestGenerativeai(Gemini):
    """Each row with google-generativeai."""

    __test__ = True

    def settings(self, url, key):
        """Return settings for the server of a test."""
        return GeminiSettings(base_url=url, api_key=key, client="google-generativeai")


if __name__ == "__main__":
    TestGenai.write_document()
