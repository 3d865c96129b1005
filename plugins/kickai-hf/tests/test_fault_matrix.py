"""Every fault of the matrix, in each mode, with the real client on a real socket."""

from __future__ import annotations

from pathlib import Path

from fault_matrix import SECTIONS
from hf_wire import MODEL, HfWire
from kickai_providers_core.testing import FaultMatrix

from kickai_hf.plugin import plugin
from kickai_hf.settings import HuggingFaceSettings


class TestFaults(FaultMatrix):
    """Each row, in all its modes."""

    plugin = plugin
    wire = HfWire()
    model = MODEL
    rows = SECTIONS
    document = Path(__file__).parents[1] / "docs" / "fault-matrix.md"
    patience_s = 0.4
    slack_s = 0.25
    within_s = 1.5  # the body of an error is read for at most 1 s

    def settings(self, url, key):
        """Return settings for the server of a test."""
        return HuggingFaceSettings(base_url=url, token=key, model=MODEL)


if __name__ == "__main__":
    TestFaults.write_document()
