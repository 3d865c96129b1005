"""The same task with other libraries, each in its own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING

from timing import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["measure_peers"]

HERE = Path(__file__).parent / "peers"
PEERS = {
    "LangChain with_fallbacks": ("langchain_fallbacks.py", "langchain-core==1.7.2"),
    "pydantic-ai FallbackModel": ("pydantic_fallback.py", "pydantic-ai-slim==2.68.0"),
    "Haystack FallbackChatGenerator": ("haystack_fallback.py", "haystack-ai==3.4.0"),
    "LiteLLM Router": ("litellm_router.py", "litellm==1.106.2"),
}


def measure_peers() -> Iterator[Figure]:
    """Install each peer and run its script."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (script, requirement) in PEERS.items():
            home = Path(folder) / script.removesuffix(".py")
            venv.create(home, with_pip=True)
            python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
            install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
            subprocess.run([*install, requirement, "attrs"], check=True, stdout=sys.stderr)  # noqa: S603
            message = subprocess.check_output([str(python), str(HERE / script)], stderr=subprocess.DEVNULL)  # noqa: S603
            took = json.loads(message.splitlines()[-1])
            detail = f"the model alone {took['bare']:.1f} µs; first fails {took['first fails']:.1f} µs"
            yield Figure(name=f"{name}, healthy call", value=took["healthy"], unit="µs", detail=detail)
