"""Importing the plugin changes nothing in a process that importing CrewAI does not change."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, logging, os, signal, sys, threading, warnings
import loguru
loguru.logger.remove()
import crewai
from kickai_providers_core import Resolver
def state():
    return {
        "environment": dict(os.environ),
        "filters": [str(each) for each in warnings.filters],
        "warn": str(warnings.warn),
        "signals": [str(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM)],
        "threads": sorted(each.name for each in threading.enumerate()),
        "handlers": [str(each) for each in logging.getLogger().handlers],
        "level": logging.getLogger().level,
        "hook": str(sys.excepthook),
        "vendors": sorted({"httpx2", "ollama", "google.genai", "huggingface_hub", "litellm"} & set(sys.modules)),
    }
before = state()
import kickai_crewai
after = state()
print(json.dumps({name: [before[name], after[name]] for name in before if before[name] != after[name]}))
"""


def test_the_import_changes_nothing_more_than_crewai_does():
    """No thread, signal handler, warning filter, variable or client of a vendor is added."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {}


def test_the_core_does_not_import_crewai():
    """An application without CrewAI pays nothing for it."""
    program = "import sys, kickai_providers_core; print('crewai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
