"""Runs the operator's command when the guard has changed a rollout."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from loguru import logger

from kickai_providers_core.concurrency import threads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["run_alert"]

ALERT_TIMEOUT_S = 10.0
"""Seconds that the command may take before it is killed."""


def run_alert(command: Sequence[str], message: Mapping[str, Any]) -> None:
    """Start a command without a shell, and return at once. It gets the message as JSON on its standard input.

    A command that cannot be started, fails or takes longer than 10 seconds is logged.
    """
    threads.start(lambda: _run(command, json.dumps(message)))


def _run(command: Sequence[str], text: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603  the operator's own command, without a shell
            command, input=text.encode(), timeout=ALERT_TIMEOUT_S, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        logger.warning("the alert command took longer than {} s and was killed", ALERT_TIMEOUT_S)
    except OSError as error:
        logger.warning("the alert command could not be started: {}", type(error).__name__)
    else:
        if done.returncode:
            logger.warning("the alert command failed with exit code {}", done.returncode)
