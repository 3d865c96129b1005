"""The command line and applications as processes, with a provider that is installed in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PATIENCE_S = 120.0

PROVIDER = """
import os
from kickai_providers_core import FinishReason, ProviderInfo, RateLimitedError, Reply
from kickai_providers_core.authoring import hooks_for


class StandIn:
    def __init__(self, settings):
        pass

    def invoke(self, request, timeout_s):
        return Reply(text="Ann", model=request.model, finish_reason=FinishReason.STOP)


plugin = hooks_for(ProviderInfo(name="standin", summary="answers", holds_timeouts=True), StandIn)
"""

SETTINGS = """
[kickai]
primary = "old"
fallback = ["new"]
plugins = ["stand-in", "kickai-redis"]

[providers.old]
kind = "standin"
model = "old"

[providers.new]
kind = "standin"
model = "new"

[store]
url = "{url}"
namespace = "app"
"""

OURS = ("KICKAI_", "AI_PROVIDER", "NO_COLOR", "FORCE_COLOR")


class Site:
    """A folder with settings, and with a provider that processes find as an installed one.

    Attributes:
        folder: The folder.
        url: The address of the store.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        packages = folder / "packages"
        metadata = packages / "stand_in-1.0.dist-info"
        metadata.mkdir(parents=True)
        (packages / "stand_in.py").write_text(PROVIDER)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stand-in\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("[kickai.providers]\nstandin = stand_in:plugin\n")
        settings = folder / "kickai.toml"
        settings.write_text(SETTINGS.format(url=url))
        settings.chmod(0o600)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.environment = {**kept, "PYTHONPATH": str(packages), "COLUMNS": "200"}

    def start(self, program: str) -> subprocess.Popen[str]:
        """Start a program in the folder."""
        command = [sys.executable, "-c", program]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, **pipes)

    def kickai(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """Run the command line, and return what it writes to both outputs."""
        program = "from kickai_providers_core.cli import main; raise SystemExit(main())"
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr
