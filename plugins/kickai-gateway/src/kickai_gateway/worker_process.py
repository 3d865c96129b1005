"""The program of one worker among several: ``python -m kickai_gateway.worker_process OPTIONS``, for the supervisor."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

from kickai_providers_core import ConfigError
from kickai_providers_core.cli.common_options import Session
from kickai_providers_core.cli.console import Console

from kickai_gateway.board import Board
from kickai_gateway.protection import UnsafeSettingsError
from kickai_gateway.shared_prices import SharedPrices
from kickai_gateway.supervisor import READY
from kickai_gateway.worker import Worker

__all__ = ["main"]

USAGE = 2


def main(text: str) -> int:
    """Serve with the options of the supervisor, and return the exit code."""
    options = json.loads(text)
    config = options["config"]
    session = Session(Console(), config=None if config is None else Path(config))

    def log(line: str) -> None:
        session.console.log(f"kickai: worker {options['number']}: {line}")

    def announce() -> None:
        os.write(options["ready"], READY)
        os.close(options["ready"])

    try:
        settings, discovery = session.load()
    except ConfigError as error:
        for problem in error.problems:
            log(str(problem))
        return USAGE
    worker = Worker(
        load=session.load_with_warnings,
        board=Board.open(options["board"], options["workers"], options["number"] - 1),
        prices=SharedPrices(options["prices"]),
        config=session.config,
        drain_s=options["drain_s"],
        log=log,
        workers=options["workers"],
        had_keys=options["had_keys"],
    )
    with socket.socket(fileno=options["listener"]) as listener:
        try:
            worker.run(settings, discovery, listener, on_ready=announce, lifeline=options["lifeline"])
        except UnsafeSettingsError as error:
            log(error.message)
            return USAGE
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one that arrives early must not end it
    sys.exit(main(sys.argv[1]))
