"""Real distributions, built on the spot: a wheel with one module and its entry points, installed into a folder."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GOOD = """
from kickai_providers_core import FinishReason, ProviderInfo, Reply, hookimpl

@hookimpl
def kickai_provider_info():
    return ProviderInfo(name={name!r}, summary="answers")

@hookimpl
def kickai_create_provider(settings):
    return object()

@hookimpl
def kickai_invoke_provider(provider, request, timeout_s):
    return Reply(text="from {name}", finish_reason=FinishReason.STOP)
"""
"""The source of a provider that works; format it with a name."""


@frozen
class Environment:
    """A folder that distributions are installed into, and a Python that sees them."""

    site: Path

    def install(self, name: str, source: str, *, entry_point: str | None = None, target: str | None = None) -> None:
        """Build a wheel of one module, and unpack it, which is what pip does with a pure wheel but ten times faster."""
        wheel = self._build_wheel(name, source, entry_point=entry_point, target=target)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.site)

    def install_with_pip(self, name: str, source: str) -> None:
        """Build a wheel of one module, and let pip install it."""
        wheel = self._build_wheel(name, source)
        options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--target", str(self.site)]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True, capture_output=True)

    def _build_wheel(
        self, name: str, source: str, *, entry_point: str | None = None, target: str | None = None
    ) -> Path:
        version = "1.0"
        module = name.replace("-", "_")
        wheel = self.site.parent / f"{module}-{version}-py3-none-any.whl"
        info = f"{module}-{version}.dist-info"
        files = {
            f"{module}.py": textwrap.dedent(source),
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": f"[kickai.providers]\n{entry_point or name} = {target or module}\n",
        }
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
            archive.writestr(f"{info}/RECORD", _record(files, info))
        return wheel

    def run(self, script: str, *, env: Mapping[str, str] | None = None) -> Any:
        """Run a script that sees the distributions; return what it printed, as JSON."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.site.parent,
            env={**os.environ, "PYTHONPATH": str(self.site), **(env or {})},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def _record(files: Mapping[str, str], info: str) -> str:
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text.encode())}")
    return "\n".join([*lines, f"{info}/RECORD,,", ""])
