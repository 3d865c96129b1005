"""The process of one model: load it, serve it at a private address, end with the parent.

`kickai_local.server_process` runs this file as a script; it imports nothing else of the package. The order is one line
of JSON on standard input, and the address is written to standard output. The parent keeps standard input open: the
process ends when it closes. It also ends when the parent has ended, since forked children of the parent copy the pipe.
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
"""Exit status: xllamacpp is missing, does not load on this machine, or lacks a parameter."""

NO_MODEL = 4
"""Exit status: the model could not be loaded; standard error says why."""

WATCH_S = 1.0
"""Seconds between two checks whether the parent still exists."""

BATCH = 64
"""Prompt tokens per batch. A cancelled call ends between two batches: with llama.cpp's default of 2048 that took 4.6 s,
with 64 it took 0.9 s and reading was 8 % slower."""


def main() -> None:
    """Serve until standard input ends."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silence(1)  # native code prints, and the parent must read nothing but the address
    order = json.loads(sys.stdin.buffer.readline())
    sys.path[:] = order["sys_path"]
    try:
        xllamacpp = import_module("xllamacpp")  # found by the path in the order
        params = build_parameters(xllamacpp.CommonParams(), order)
    except (ImportError, AttributeError) as exc:
        sys.stderr.write(f"{exc}\n")
        sys.exit(NO_RUNTIME)
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:  # the reason is on standard error already
        sys.exit(NO_MODEL)
    silence(2)
    with suppress(BrokenPipeError), out:  # the parent may have ended already
        out.write(server.listening_address)
    wait_for_end(order["parent"])
    shutil.rmtree(order["directory"], ignore_errors=True)
    os._exit(0)  # at once, even while it generates


def wait_for_end(parent: int) -> None:
    """Return when standard input has closed, or when the parent has ended."""
    if os.name != "posix":  # select does not accept pipes, and there is no fork
        sys.stdin.buffer.read()
        return
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], WATCH_S)
        if ready and not os.read(0, 4096):
            return


def build_parameters(params: Any, order: dict[str, Any]) -> Any:
    """Return llama.cpp's parameters for the order; setting one that the runtime does not know raises."""
    chosen = {
        "hostnames": [order["host"]],
        "api_keys": [order["key"]],
        "model_alias": {order["name"]},
        "n_ctx": order["context_window"],
        "n_predict": order["context_window"],
        "n_batch": BATCH,
        "n_ubatch": BATCH,
        "n_gpu_layers": -1 if order["gpu"] else 0,
        "fit_params": order["gpu"],  # chooses how many layers fit the card
        "no_kv_offload": not order["gpu"],
        "no_op_offload": not order["gpu"],
        "n_parallel": 1,
        "cache_ram_mib": 0,  # the default keeps up to 8 GiB of earlier prompts
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


def silence(descriptor: int) -> None:
    """Discard what is written to a file descriptor, by native code too."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


if __name__ == "__main__":
    main()
