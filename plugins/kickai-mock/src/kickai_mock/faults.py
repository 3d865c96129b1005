"""The faults that the mock simulates: an entry such as ``timeout`` or ``rate_limited:2.5`` says what one call does."""

from __future__ import annotations

from difflib import get_close_matches
from math import inf, isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self

from attrs import frozen
from kickai_providers_core.values import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CALL_KINDS", "KINDS", "OK", "Fault", "FaultKind"]

CALL_KINDS = frozenset({"tool_call", "same_ids", "no_ids", "cut_arguments"})
"""The kinds that answer with tool calls."""

_FORMS = {"seconds": "a number of seconds from 0", "tokens": "a whole number of tokens from 1", "word": "a word"}
_FIELDS = {"seconds": "retry_after_s", "tokens": "limit_tokens", "word": "reason"}


@frozen
class FaultKind:
    """One kind of fault.

    Attributes:
        meaning: What the call does, for messages and for the table of the README.
        takes: What the argument is; empty when there is none.
        error: The class that is raised; None when the call does something else.
        status_code: The HTTP status that real services send with it; None without an answer.
        reached: Whether the service was reached, for an error that says so.
        needs: Whether the argument is required.
    """

    meaning: str
    takes: Literal["", "seconds", "tokens", "word"] = ""
    error: type[errors.ProviderError] | None = None
    status_code: int | None = None
    reached: bool = True
    needs: bool = False


KINDS: Mapping[str, FaultKind] = MappingProxyType(
    {
        "ok": FaultKind("no fault: the ordinary answer"),
        "timeout": FaultKind("no answer in time", error=errors.ProviderTimeoutError),
        "rate_limited": FaultKind("too many requests", "seconds", errors.RateLimitedError, 429),
        "unavailable": FaultKind("service unavailable", "seconds", errors.ProviderUnavailableError, 503),
        "unreachable": FaultKind("service not reached", error=errors.ProviderUnavailableError, reached=False),
        "invalid_reply": FaultKind("unusable answer", "", errors.InvalidReplyError, 200),
        "authentication": FaultKind("key refused", "", errors.AuthenticationError, 401),
        "quota_exhausted": FaultKind("credit used up", "seconds", errors.QuotaExhaustedError, 402),
        "model_not_found": FaultKind("model not served", "", errors.ModelNotFoundError, 404),
        "unsupported_request": FaultKind("the model cannot do this", "", errors.UnsupportedRequestError, 400),
        "invalid_request": FaultKind("request refused", "", errors.InvalidRequestError, 400),
        "context_length_exceeded": FaultKind(
            "prompt too long for the model's window", "tokens", errors.ContextLengthExceededError, 400
        ),
        "content_filtered": FaultKind("prompt or answer withheld", "word", errors.ContentFilteredError, 400),
        "slow_first_token": FaultKind("the first piece comes later by this time", "seconds", needs=True),
        "stall": FaultKind("a pause after half the answer, for ever without an argument", "seconds"),
        "cut": FaultKind("the stream ends after half the answer, without a finish reason"),
        "malformed": FaultKind("something that is neither a reply nor a chunk"),
        "empty": FaultKind("a reply without text"),
        "silence": FaultKind("nothing until the timeout"),
        "tool_call": FaultKind("a call of the named tool, or of the request's first", "word"),
        "same_ids": FaultKind("two such calls with the same id", "word"),
        "no_ids": FaultKind("two such calls without ids", "word"),
        "cut_arguments": FaultKind("such a call whose arguments are cut in half", "word"),
        "halves": FaultKind("an answer with a character whose UTF-16 halves come in two pieces"),
    }
)
"""Every kind of fault, with the statuses of RFC 9110 and of OpenAI-compatible services."""


@frozen
class Fault:
    """What one call does.

    Attributes:
        kind: A key of `KINDS`.
        argument: The text after the colon: seconds, tokens or a word; None without one.
    """

    kind: str
    argument: float | str | None = None

    @classmethod
    def parse(cls, entry: str) -> Self:
        """Return the fault for an entry, ``KIND`` or ``KIND:ARGUMENT``.

        Raises:
            ValueError: The kind is unknown, or its argument is missing, superfluous or invalid.
        """
        name, colon, argument = (part.strip() for part in entry.partition(":"))
        kind = KINDS.get(name)
        if kind is None:
            near = get_close_matches(name, KINDS, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(KINDS)}"
            raise ValueError(f"unknown fault {name!r} ({advice})")
        if not colon:
            if kind.needs:
                raise ValueError(f"{name!r} needs a number of {kind.takes}: write '{name}:0.5'")
            return cls(name)
        if not kind.takes:
            raise ValueError(f"{name!r} takes no argument, got {entry!r}")
        value = (argument or None) if kind.takes == "word" else _parse_number(argument, whole=kind.takes == "tokens")
        if value is None:
            raise ValueError(f"{entry!r} must have {_FORMS[kind.takes]} after the colon, got {argument!r}")
        return cls(name, value)

    def build_error(self) -> errors.ProviderError | None:
        """Return a new error of the fault's class, or None when it has none."""
        kind = KINDS[self.kind]
        if kind.error is None:
            return None
        fields: dict[str, Any] = {} if self.argument is None else {_FIELDS[kind.takes]: self.argument}
        if not kind.reached:
            fields["reached"] = False
        return kind.error(f"simulated: {kind.meaning}", status_code=kind.status_code, **fields)

    @property
    def delay_s(self) -> float:
        """The seconds that it adds before the first piece."""
        if self.kind == "slow_first_token":
            return float(self.argument or 0.0)
        return inf if self.kind == "silence" else 0.0

    @property
    def stall_s(self) -> float:
        """The seconds that it adds in the middle of the answer."""
        if self.kind != "stall":
            return 0.0
        return inf if self.argument is None else float(self.argument)

    def __str__(self) -> str:
        return self.kind if self.argument is None else f"{self.kind}:{self.argument}"


OK = Fault("ok")
"""No fault."""


def _parse_number(text: str, *, whole: bool) -> float | None:
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        return None
    return number if isfinite(number) and number >= (1 if whole else 0) else None
