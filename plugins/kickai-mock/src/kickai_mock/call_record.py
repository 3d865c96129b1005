"""The record of one call, for tests that check what was requested."""

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
        mode: ``invoke``, ``ainvoke``, ``stream`` or ``astream``.
        model: The model that was called.
        number: How many calls of this model came before.
        request: The request.
        timeout_s: The time limit of the call, seconds.
        fault: What the call does; its kind is ``ok`` for an ordinary answer.
        latency_s: The simulated latency, seconds.
    """

    mode: Mode
    model: str
    number: int
    request: ChatRequest
    timeout_s: float
    fault: Fault
    latency_s: float
