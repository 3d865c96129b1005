"""Which target serves a request, known before the answer is complete: from the events of its attempts."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from attrs import define
from kickai_providers_core.values.events import AttemptStarted, RequestStarted, TargetSkipped

if TYPE_CHECKING:
    from kickai_providers_core.values.events import Event

    from kickai_gateway.http import Headers

__all__ = ["Record", "observe", "start_record"]


@define
class Record:
    """What the current request has done so far.

    Attributes:
        provider: The instance that was called last; empty before.
        model: The model that was requested there; None for the instance's own.
        attempts: The number of attempts.
        fell_back: Whether another target was called or skipped before it.
    """

    provider: str = ""
    model: str | None = None
    attempts: int = 0
    fell_back: bool = False

    def build_headers(self, model: str) -> Headers:
        """Return the headers for the client.

        Args:
            model: The model as the provider names it; empty when it has not named one.
        """
        return (
            ("x-kickai-provider", self.provider),
            ("x-kickai-model", model or self.model or ""),
            ("x-kickai-attempts", str(self.attempts)),
            ("x-kickai-fell-back", "true" if self.fell_back else "false"),
        )


_RECORD: ContextVar[Record | None] = ContextVar("kickai_gateway_record", default=None)


def start_record() -> Record:
    """Return a new record, which the events of the current task, and of those that it starts, fill."""
    record = Record()
    _RECORD.set(record)
    return record


def observe(event: Event) -> None:
    """Fill the current record: an observer for `Resolver`."""
    record = _RECORD.get()
    if record is None or isinstance(event, RequestStarted):
        return
    if isinstance(event, AttemptStarted):
        target = (event.provider, event.model)
        record.fell_back = record.fell_back or (record.attempts > 0 and target != (record.provider, record.model))
        record.provider, record.model = target
        record.attempts += 1
    elif isinstance(event, TargetSkipped) and record.attempts == 0:
        record.fell_back = True
