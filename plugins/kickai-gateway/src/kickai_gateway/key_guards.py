"""The checks of a gateway with keys: the key, the models that it may name, its rate and its tokens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from kickai_providers_core.operations.rates import to_nano_usd

from kickai_gateway.allowances import Allowance, Limit
from kickai_gateway.errors import ApiError, ErrorReply
from kickai_gateway.guards import Caller, Reservation
from kickai_gateway.keys import KeyRing
from kickai_gateway.leases import LeaseKeeper
from kickai_gateway.origins import require_json
from kickai_gateway.prices import PriceTable, UnknownPriceError, format_exact_usd
from kickai_gateway.token_reservations import DEFAULT_MAX_TOKENS, estimate_max_input_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kickai_providers_core import Chain
    from kickai_providers_core.config.gateway_settings import GatewayKey
    from kickai_providers_core.stores.api import Store

    from kickai_gateway.guards import Use
    from kickai_gateway.http import Headers, HttpRequest
    from kickai_gateway.requests import ChatCall

__all__ = ["KeyGuards", "list_limits"]

MINUTE_S, DAY_S, MONTH_S = 60.0, 86_400.0, 30 * 86_400.0
PERIODS = {MINUTE_S: "minute", DAY_S: "day", MONTH_S: "month"}

COSTS = ("usd-day", "usd-month")
"""The units of budgets in money. Their amounts are nano-USD."""

REFILL_WAIT_S = 0.3
"""Seconds that a request waits for further permits when those of this process are used up."""

UNAUTHORIZED: Headers = (("www-authenticate", 'Bearer realm="kickai"'),)


def list_limits(name: str, key: GatewayKey, *, is_shared: bool) -> list[Limit]:
    """Return the limits of a key.

    Args:
        name: The name of the key.
        key: The key.
        is_shared: Whether other processes count too; if not, this one takes all permits at once.
    """
    given = (
        ("requests", key.requests_per_minute, MINUTE_S),
        ("tokens", key.tokens_per_day, DAY_S),
        ("usd-day", None if key.usd_per_day is None else to_nano_usd(key.usd_per_day), DAY_S),
        ("usd-month", None if key.usd_per_month is None else to_nano_usd(key.usd_per_month), MONTH_S),
    )
    return [
        Limit(
            name=f"gateway/{name}/{unit}",
            unit=unit,
            amount=amount,
            window_s=window_s,
            **({} if is_shared else {"block": amount}),
        )
        for unit, amount, window_s in given
        if amount is not None
    ]


class KeyGuards:
    """Lets clients with a key in. For one event loop."""

    def __init__(
        self,
        keys: Mapping[str, GatewayKey],
        *,
        open_store: Callable[[], Store],
        is_shared: bool,
        holder: str,
        clock: Callable[[], float],
        log: Callable[[str], None],
        prices: PriceTable | None = None,
    ) -> None:
        """Take the first permits of each key, waiting for the store.

        Args:
            keys: The keys by name.
            open_store: Returns the store that counts what the keys use.
            is_shared: Whether other processes use the same store.
            holder: The name of this process in the store.
            clock: Returns the monotonic time in seconds.
            log: Writes a line.
            prices: What answers cost, for keys with a budget in money.
        """
        self._keys = dict(keys)
        self._prices = PriceTable() if prices is None else prices
        self._ring = KeyRing(keys)
        self._clock = clock
        self._allowances = {
            name: {limit.unit: Allowance(limit) for limit in list_limits(name, key, is_shared=is_shared)}
            for name, key in keys.items()
        }
        every = [allowance for own in self._allowances.values() for allowance in own.values()]
        self._keeper = LeaseKeeper(every, open_store, holder, clock, log) if every else None
        if self._keeper is not None:
            self._keeper.start()

    def authorize(self, request: HttpRequest) -> Caller:
        """Return the caller that the key in the header ``Authorization`` belongs to.

        Raises:
            ApiError: There is no key, it is unknown, or the body is not declared as JSON.
        """
        scheme, _, text = (request.find_header("authorization") or "").partition(" ")
        name = self._ring.find(text.strip()) if scheme.lower() == "bearer" else None
        if name is None:
            message = "the gateway needs a key in the header Authorization: Bearer KEY"
            if scheme:
                message = "the key is unknown"
            reply = ErrorReply(
                status=401, message=message, type="authentication_error", code="invalid_api_key", headers=UNAUTHORIZED
            )
            raise ApiError(reply)
        if request.method == "POST":
            require_json(request)
        return Caller(name=name, models=self._keys[name].models)

    async def reserve(self, caller: Caller, call: ChatCall, chain: Chain) -> Reservation:
        """Set aside one request, and the most tokens and money that its prompt and answer may take.

        Raises:
            ApiError: The key has used up a limit, or a model has no price.
        """
        own = self._allowances[caller.name]
        options: dict[str, Any] = {}
        amounts = {"requests": 1}
        if own.keys() - {"requests"}:
            output = call.request.max_tokens or chain.max_tokens
            if output is None:
                output = options["max_tokens"] = DEFAULT_MAX_TOKENS
            sent = estimate_max_input_tokens(call.request)
            amounts["tokens"] = sent + output
            if any(unit in own for unit in COSTS):
                amounts |= dict.fromkeys(COSTS, self._find_most(chain, sent, output))
        windows: dict[str, int] = {}
        try:
            for unit, allowance in own.items():
                windows[unit] = await self._take(allowance, amounts[unit])
        except BaseException:
            for unit, window in windows.items():
                self._settle(own[unit], window, amounts[unit], 0)
            raise
        return Reservation(
            caller=caller, headers=self._describe(own), options=options, amounts=amounts, windows=windows
        )

    def settle(self, reservation: Reservation, use: Use) -> None:
        """Replace the tokens and the money that were set aside by those that were used; see `Guards.settle`."""
        for unit, allowance in self._allowances[reservation.caller.name].items():
            if unit != "requests":
                reserved = reservation.amounts[unit]
                used = 0 if use.is_free and use.usage is None else self._count_used(unit, reserved, use)
                self._settle(allowance, reservation.windows[unit], reserved, used)

    def _count_used(self, unit: str, reserved: int, use: Use) -> int:
        """Return what an answer used; all that was reserved when that is unknown."""
        if use.usage is None:
            return reserved
        if unit not in COSTS:
            return use.usage.total_tokens
        try:
            return reserved if use.target is None else self._prices.price(use.target, use.usage)
        except UnknownPriceError:  # a rollout has begun to add this target since
            return reserved

    def _find_most(self, chain: Chain, sent: int, output: int) -> int:
        """Return the most that an answer of a chain costs, in nano-USD.

        Raises:
            ApiError: One of its targets has no price.
        """
        try:
            return self._prices.find_most(chain.reachable, sent, output)
        except UnknownPriceError as error:
            name = str(error)
        hint = f'set [prices.models."{name}"]' if ":" in name else f"set model in [providers.{name}], and its price"
        message = f"the key has a budget in USD, and no price of {name} is known: the operator can {hint}"
        raise ApiError(ErrorReply(status=400, message=message, code="model_without_price", param="model"))

    def close(self) -> None:
        """Return the permits that are left to the store."""
        if self._keeper is not None:
            self._keeper.close()

    async def _take(self, allowance: Allowance, amount: int) -> int:
        """Return the window in which the permits were set aside.

        Raises:
            ApiError: There are not enough of them.
        """
        keeper = self._keeper
        assert keeper is not None  # noqa: S101  there is an allowance
        for wait_s in (REFILL_WAIT_S, 0.0):
            with keeper.lock:
                window = allowance.reserve(amount, self._clock())
                is_refused = self._clock() < allowance.refused_until
            if window is not None:
                return window
            if wait_s and not is_refused and amount <= allowance.limit.amount:
                await keeper.wait_for_refill(wait_s)
        raise self._refuse(allowance, amount)

    def _settle(self, allowance: Allowance, window: int, reserved: int, used: int) -> None:
        keeper = self._keeper
        assert keeper is not None  # noqa: S101  there is an allowance
        with keeper.lock:
            allowance.settle(window, reserved, used, self._clock())

    def _refuse(self, allowance: Allowance, amount: int) -> ApiError:
        limit, now = allowance.limit, self._clock()
        period, total, asked = PERIODS[limit.window_s], _format(limit, limit.amount), _format(limit, amount)
        left_s = allowance.compute_left_s(now)
        if amount > limit.amount:
            message = f"the request may use {asked}, and its key {total} a {period}; lower max_tokens"
            return ApiError(ErrorReply(status=400, message=message, code="request_too_large", param="max_tokens"))
        message = f"the key has used up its {total} a {period}, or too little is left for this request"
        # Other requests may return permits soon, so clients may try again before the window ends.
        retry_s = 1 if limit.unit != "requests" and allowance.held > 0 else max(1, math.ceil(left_s))
        is_short = retry_s <= MINUTE_S
        headers = (
            ("retry-after", str(retry_s)),
            ("x-should-retry", "true" if is_short else "false"),
            *self._describe({limit.unit: allowance}),
        )
        return ApiError(
            ErrorReply(
                status=429, message=message, type="rate_limit_error", code="rate_limit_exceeded", headers=headers
            )
        )

    def _describe(self, own: Mapping[str, Allowance]) -> Headers:
        """Return the headers that state the limits; what remains is what this process holds of it."""
        now = self._clock()
        return tuple(
            header
            for unit, allowance in own.items()
            for header in (
                (f"x-ratelimit-limit-{unit}", _format_number(unit, allowance.limit.amount)),
                (f"x-ratelimit-remaining-{unit}", _format_number(unit, max(0, allowance.held))),
                (f"x-ratelimit-reset-{unit}", f"{math.ceil(allowance.compute_left_s(now))}s"),
            )
        )


def _format_number(unit: str, amount: int) -> str:
    return format_exact_usd(amount) if unit in COSTS else str(amount)


def _format(limit: Limit, amount: int) -> str:
    return f"{_format_number(limit.unit, amount)} {'USD' if limit.unit in COSTS else limit.unit}"
