"""One call of the mock, as it is recorded for whoever wants to see what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from kickai_providers_core import ChatRequest
    from kickai_providers_core.plugin_api.hookspecs import Mode

    from kickai_mock.faults import Fault

__all__ = ["Call"]


@frozen
class Call:
    """One call, recorded when it begins.

    Attributes:
        mode: How it was made: ``invoke``, ``ainvoke``, ``stream`` or ``astream``.
        model: The model that was asked.
        number: How many calls of this model came before it.
        request: What was asked.
        timeout_s: The seconds it was given.
        fault: What it was told to do; its kind is ``ok`` for an ordinary answer.
        latency_s: The latency it was told to have.
    """

    mode: Mode
    model: str
    number: int
    request: ChatRequest
    timeout_s: float
    fault: Fault
    latency_s: float
