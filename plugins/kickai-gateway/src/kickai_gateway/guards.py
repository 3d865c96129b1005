"""The checks that every request passes: who the caller is, what it may do, and what it has used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from kickai_providers_core import Reply, Usage

    from kickai_gateway.http import Headers, HttpRequest
    from kickai_gateway.requests import ChatCall

__all__ = ["ANYONE", "Caller", "Guards", "OpenGuards", "Reservation"]


@frozen(kw_only=True)
class Caller:
    """Who sent a request.

    Attributes:
        name: The name of the virtual key; empty without keys.
    """

    name: str = ""

    def may_use(self, model: str) -> bool:  # noqa: ARG002  every model, without keys
        """Return whether the caller may name this model."""
        return True


ANYONE = Caller()
"""The caller when the gateway has no keys."""


@frozen(kw_only=True)
class Reservation:
    """What was set aside for one request, until it is settled.

    Attributes:
        caller: Whose request it is.
        headers: What the client is told of its limits, as ``x-ratelimit-*``.
    """

    caller: Caller
    headers: Headers = field(default=())


class Guards(Protocol):
    """The checks, in the order in which the gateway calls them. None of them blocks or waits."""

    def authorize(self, request: HttpRequest) -> Caller:
        """Return the caller of a request, before its body is read.

        Raises:
            ApiError: The request is not allowed.
        """
        ...

    def reserve(self, caller: Caller, call: ChatCall) -> Reservation:
        """Set aside what a request may use, before any provider is called.

        Raises:
            ApiError: The caller may not use the model, or has used up a limit.
        """
        ...

    def settle(self, reservation: Reservation, reply: Reply | None, usage: Usage | None) -> None:
        """Replace what was set aside by what was used. It is called exactly once for each reservation.

        Args:
            reservation: What was set aside.
            reply: The complete answer; None when there is none.
            usage: The token counts, as far as they are known; None when nothing is known.
        """
        ...


class OpenGuards:
    """Lets everyone in."""

    def authorize(self, request: HttpRequest) -> Caller:  # noqa: ARG002
        """Return the caller without a name."""
        return ANYONE

    def reserve(self, caller: Caller, call: ChatCall) -> Reservation:  # noqa: ARG002
        """Set nothing aside."""
        return Reservation(caller=caller)

    def settle(self, reservation: Reservation, reply: Reply | None, usage: Usage | None) -> None:
        """Do nothing."""
