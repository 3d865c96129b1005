"""Empty environments with one distribution: whether it installs and imports, and what it brings along."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release.distributions import CORE
from release.licences import find_licence_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from release.distributions import Distribution

__all__ = ["InstallationError", "install_and_describe"]


class InstallationError(Exception):
    """A distribution cannot be installed or imported."""


def install_and_describe(archive: Path, distribution: Distribution, core: Path, *, sbom: Path | None) -> Iterator[str]:
    """Install an archive into an empty environment, import its package, and yield what is wrong.

    Args:
        archive: A wheel or a source distribution.
        distribution: What it is one of.
        core: The wheel of the core, which is not taken from an index.
        sbom: Where to write the bill of materials (CycloneDX) of the environment; None for no bill and no check of the
            licences.
    """
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "bin" / "python"
        try:
            _run("uv", "venv", "--quiet", "--python", sys.executable, folder)
            parts = [f"{distribution.name} @ {archive.as_uri()}"]
            parts += [] if distribution.name == CORE else [f"{CORE} @ {core.as_uri()}"]
            _run("uv", "pip", "install", "--quiet", "--python", str(python), *parts)
            _run("uv", "pip", "check", "--quiet", "--python", str(python))
            _run(str(python), "-c", f"import {distribution.package}")
            if sbom is not None:
                _run("cyclonedx-py", "environment", "--output-reproducible", "-o", str(sbom), str(python))
        except InstallationError as error:
            yield f"{archive.name}: {error}"
            return
    if sbom is not None:
        yield from find_licence_problems(json.loads(sbom.read_text(encoding="utf-8")), archive.name)


def _run(program: str, *arguments: str) -> None:
    found = Path(sys.executable).parent / program
    command = [str(found) if found.is_file() else program, *arguments]
    done: Any = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1200)  # noqa: S603
    if done.returncode != 0:
        raise InstallationError(f"{program} {arguments[0]} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
