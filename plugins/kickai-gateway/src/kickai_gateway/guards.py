"""The checks that every request passes: who the caller is, what it may do, and what it has used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from kickai_gateway.errors import ApiError, ErrorReply
from kickai_gateway.origins import require_json, require_local

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core import Chain, Target, Usage

    from kickai_gateway.http import Headers, HttpRequest
    from kickai_gateway.requests import ChatCall

__all__ = ["ANYONE", "Caller", "Guards", "LocalGuards", "Reservation", "Use"]


@frozen(kw_only=True)
class Caller:
    """Who sent a request.

    Attributes:
        name: The name of the virtual key; empty without keys.
        models: The models that it may name; see `GatewayKey`.
    """

    name: str = ""
    models: tuple[str, ...] = ("*",)

    def require_model(self, model: str) -> None:
        """Refuse a model that the caller may not name. The answer does not say whether it exists.

        Raises:
            ApiError: The caller may not name it.
        """
        if not self.may_use(model):
            message = f"the model {model[:60]!r} does not exist, or this key may not use it"
            raise ApiError(ErrorReply(status=404, message=message, code="model_not_found", param="model"))

    def may_use(self, model: str) -> bool:
        """Return whether the caller may name this model."""
        return any(
            allowed in {"*", model} or (allowed.endswith(":*") and model.startswith(allowed[:-1]) and "," not in model)
            for allowed in self.models
        )


ANYONE = Caller()
"""The caller when the gateway has no keys."""


@frozen(kw_only=True)
class Reservation:
    """What was set aside for one request, until it is settled.

    Attributes:
        caller: Whose request it is.
        headers: The limits that the client sees, as ``x-ratelimit-*``.
        options: Keyword arguments of the chain, which keep the answer within what was set aside.
        amounts: What was set aside, by unit.
        windows: The window of the store in which it was, by unit.
    """

    caller: Caller
    headers: Headers = field(default=())
    options: Mapping[str, Any] = field(factory=dict)
    amounts: Mapping[str, int] = field(factory=dict)
    windows: Mapping[str, int] = field(factory=dict)


@frozen(kw_only=True)
class Use:
    """What a request used.

    Attributes:
        usage: The token counts; None when they are unknown, and then all that was set aside counts as used.
        target: Who answered; None when that is unknown, and then all the money that was set aside counts as used.
        is_free: Whether the request failed in a way that no service bills.
    """

    usage: Usage | None = None
    target: Target | None = None
    is_free: bool = False


class Guards(Protocol):
    """The checks, in the order in which the gateway calls them."""

    def authorize(self, request: HttpRequest) -> Caller:
        """Return the caller of a request, before its body is read.

        Raises:
            ApiError: The request is not allowed.
        """
        ...

    async def reserve(self, caller: Caller, call: ChatCall, chain: Chain) -> Reservation:
        """Set aside what a request may use, before any provider is called.

        Raises:
            ApiError: The caller has used up a limit.
        """
        ...

    def settle(self, reservation: Reservation, use: Use) -> None:
        """Replace what was set aside by what was used. It is called exactly once for each reservation."""
        ...

    def close(self) -> None:
        """Return what is set aside in the store. No request follows."""
        ...


class LocalGuards:
    """Lets every program on this machine in, and no web page. For a gateway without keys."""

    def authorize(self, request: HttpRequest) -> Caller:
        """Return the caller without a name.

        Raises:
            ApiError: A web page, or a program on another machine, may have sent the request.
        """
        require_local(request)
        if request.method == "POST":
            require_json(request)
        return ANYONE

    async def reserve(self, caller: Caller, call: ChatCall, chain: Chain) -> Reservation:  # noqa: ARG002
        """Set nothing aside."""
        return Reservation(caller=caller)

    def settle(self, reservation: Reservation, use: Use) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
