"""One row of a fault matrix: a fault, and the error that the provider must raise for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from attrs import Factory, field, frozen
from attrs.validators import deep_iterable, in_, instance_of, min_len

from kickai_providers_core.testing.contract.helpers.constants import STREAMS
from kickai_providers_core.testing.faults import Fault, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.values.errors import ProviderError

__all__ = ["ALL_MODES", "STREAMS", "WHOLE_ANSWERS", "FaultRow"]

WHOLE_ANSWERS: tuple[Mode, ...] = ("invoke", "ainvoke")
ALL_MODES: tuple[Mode, ...] = (*WHOLE_ANSWERS, *STREAMS)

PHASES = ("", "connect", "first_token", "idle", "total")


def _get_expiring_phase(row: FaultRow) -> Literal["", "connect", "first_token", "idle", "total"]:
    return row.expires


def _get_code_of_fault(row: FaultRow) -> int | None:
    return getattr(row.fault, "code", None)


@frozen(kw_only=True)
class FaultRow:
    """A fault and the expected error.

    Attributes:
        name: What happens, in a few words; the name of the test and of the row in the document.
        fault: What the service does, or why it cannot be reached.
        error: The exact class of the error.
        message: The error's message, with ``URL`` in place of the service's address; not checked when empty.
        stream_error: The class in streams, when it differs.
        stream_message: The message in streams, when it differs.
        modes: The modes in which the fault can happen.
        expires: The timeout that expires: ``total``, ``connect``, ``first_token`` or ``idle``; empty when none does.
            That timeout is set to `FaultMatrix.patience_s`, all others to 10 s.
        phase: The error's ``phase``; ``expires`` by default.
        status_code: The error's ``status_code``; the fault's ``code`` by default, if it has one.
        retry_after_s: The error's ``retry_after_s``, or its bounds as a pair.
        reached: The error's ``reached``, for errors that have it.
        fields: Other fields of the error and their values.
        within_s: How long the call may take when no timeout expires; `FaultMatrix.within_s` by default.
        note: A remark for the document.
    """

    name: str = field(validator=min_len(1))
    fault: Fault | Unreachable = field(validator=instance_of((Fault, Unreachable)))
    error: type[ProviderError]
    message: str = ""
    stream_error: type[ProviderError] | None = None
    stream_message: str = ""
    modes: tuple[Mode, ...] = field(
        default=ALL_MODES, converter=tuple, validator=[min_len(1), deep_iterable(in_(ALL_MODES))]
    )
    expires: Literal["", "connect", "first_token", "idle", "total"] = field(default="", validator=in_(PHASES))
    # A decorated method would be shorter, but not every type checker knows that it is a default.
    phase: Literal["", "connect", "first_token", "idle", "total"] = field(
        default=Factory(_get_expiring_phase, takes_self=True), validator=in_(PHASES)
    )
    status_code: int | None = field(default=Factory(_get_code_of_fault, takes_self=True))
    retry_after_s: float | tuple[float, float] | None = None
    reached: bool = True
    fields: Mapping[str, Any] = field(factory=dict)
    within_s: float | None = None
    note: str = ""

    def get_error(self, mode: Mode) -> type[ProviderError]:
        """Return the class of the error in a mode."""
        return self.stream_error if self.stream_error is not None and mode in STREAMS else self.error

    def get_message(self, mode: Mode) -> str:
        """Return the message of the error in a mode; empty when any message will do."""
        return self.stream_message if self.stream_message and mode in STREAMS else self.message
