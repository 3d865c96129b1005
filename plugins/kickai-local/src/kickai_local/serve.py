"""The runtime's own process: load one model, serve it at a private address, end when the parent lets go.

It is run as a script, by `kickai_local.runtime`, and imports nothing of this package. What it is to do comes as one
line of JSON on standard input; the address goes as one line to standard output. Standard input is then held open
by the parent: when it closes, the process ends too. It also ends when it has another parent than the one that started
it, since children that the parent has forked hold copies of the pipe.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

NO_RUNTIME = 3
"""Exit status: xllamacpp is missing, does not load on this machine, or has other parameters."""

NO_MODEL = 4
"""Exit status: the model could not be loaded; standard error says why."""

WATCH_S = 1.0
"""How often it looks whether its parent is still there."""

BATCH = 64
"""Tokens of a prompt that are read at a time. A cancelled call is given up between two batches only: llama.cpp's own
default of 2048 held on to the slot for 4.6 s after a cancel where 64 took 0.9 s, and reading was 8 % slower."""


def main() -> None:
    """Serve until standard input ends."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    quiet(1)  # native code prints: the parent must read nothing but the address
    order = json.loads(sys.stdin.buffer.readline())
    sys.path[:] = order["sys_path"]
    try:
        xllamacpp = import_module("xllamacpp")  # only now is it known where to find it
        params = parameters(xllamacpp.CommonParams(), order)
    except (ImportError, AttributeError) as exc:
        sys.stderr.write(f"{exc}\n")
        sys.exit(NO_RUNTIME)
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:  # the reason stands on standard error already
        sys.exit(NO_MODEL)
    quiet(2)
    with suppress(BrokenPipeError), told:  # the parent may be gone already
        told.write(server.listening_address)
    wait_for_end(order["parent"])
    shutil.rmtree(order["directory"], ignore_errors=True)
    os._exit(0)  # at once, whatever is being generated


def wait_for_end(parent: int) -> None:
    """Return when standard input has closed, or when the parent has ended."""
    if os.name != "posix":  # pipes cannot be waited for, and there is no fork
        sys.stdin.buffer.read()
        return
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], WATCH_S)
        if ready and not os.read(0, 4096):
            return


def parameters(params: Any, order: dict[str, Any]) -> Any:
    """Return llama.cpp's parameters for the order; a parameter that the runtime does not know is an error."""
    chosen = {
        "hostnames": [order["host"]],
        "api_keys": [order["key"]],
        "model_alias": {order["name"]},
        "n_ctx": order["context_window"],
        "n_predict": order["context_window"],
        "n_batch": BATCH,
        "n_ubatch": BATCH,
        "n_gpu_layers": -1 if order["gpu"] else 0,
        "fit_params": order["gpu"],  # how many layers fit the card
        "no_kv_offload": not order["gpu"],
        "no_op_offload": not order["gpu"],
        "n_parallel": 1,
        "cache_ram_mib": 0,  # llama.cpp would keep up to 8 GiB of former prompts
        "cache_idle_slots": False,
        "warmup": False,  # the first prompt does it
        "ui": False,
        "endpoint_slots": False,
        "verbosity": 1,  # errors
    }
    params.model.path = order["model"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order["threads"]
    for name, value in chosen.items():
        setattr(params, name, value)
    return params


def quiet(descriptor: int) -> None:
    """Send what is written to a file descriptor, by native code too, nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


if __name__ == "__main__":
    main()
