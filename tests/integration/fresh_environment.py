"""Install wheels into an empty environment and find their providers: ``python fresh_environment.py WHEEL …``.

It needs uv next to the interpreter that runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

CALLERS = {"kickai-gateway"}
"""Distributions that are not plugins: they call chains."""


def main(wheels: list[str]) -> None:
    """Fail unless ``kickai providers`` finds each plugin wheel, apart from those that only call chains."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "venv"
        venv.create(home, symlinks=True)
        python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
        command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--python", str(python)]
        core = next(wheel for wheel in wheels if "providers_core" in wheel)
        subprocess.run([*command, f"kickai-providers-core[cli] @ {Path(core).as_uri()}", *wheels], check=True)
        listing = subprocess.run(
            [str(python.with_name("kickai")), "providers", "--json"],
            check=True,
            capture_output=True,
            text=True,
            cwd=folder,
        )
    found = {plugin["distribution"]: plugin for plugin in json.loads(listing.stdout)["providers"]}
    expected = {Path(wheel).name.split("-")[0].replace("_", "-") for wheel in wheels if wheel != core}
    expected -= CALLERS
    if set(found) != expected:
        sys.exit(f"kickai providers found {sorted(found)}, not {sorted(expected)}")
    broken = [name for name, plugin in found.items() if plugin["state"] == "broken"]
    if broken:
        sys.exit(f"broken: {broken}: {listing.stdout}")
    print(f"an empty environment with {len(wheels)} wheels: kickai providers finds {', '.join(sorted(found))}")


if __name__ == "__main__":
    main(sys.argv[1:])
