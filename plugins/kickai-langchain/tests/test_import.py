"""Importing the plugin changes nothing in a process that importing LangChain does not change."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, logging, os, signal, sys, threading, warnings
import loguru
loguru.logger.remove()
from langchain_core.language_models import BaseChatModel
from langchain_core.utils.function_calling import convert_to_json_schema
from kickai_providers_core import Resolver
def state():
    return {
        "environment": dict(os.environ),
        "filters": [str(each) for each in warnings.filters],
        "signals": [str(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM)],
        "threads": sorted(each.name for each in threading.enumerate()),
        "handlers": [str(each) for each in logging.getLogger().handlers],
        "level": logging.getLogger().level,
        "hook": str(sys.excepthook),
        "vendors": sorted({"httpx2", "ollama", "google.genai", "huggingface_hub", "transformers"} & set(sys.modules)),
    }
before = state()
import kickai_langchain
after = state()
print(json.dumps({name: [before[name], after[name]] for name in before if before[name] != after[name]}))
"""


def test_the_import_changes_nothing_more_than_langchain_does():
    """No thread, signal handler, warning filter, variable or client of a vendor is added."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {}


def test_the_core_does_not_import_langchain():
    """An application without LangChain pays nothing for it."""
    program = "import sys, kickai_providers_core; print('langchain_core' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
