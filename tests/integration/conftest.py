"""What the tests over the whole program share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import CommandLine


@pytest.fixture
def kickai(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Return the command line, in an empty folder."""
    from command_line import CommandLine  # other tests of the folder run without click

    return CommandLine(tmp_path, monkeypatch, capsys)
