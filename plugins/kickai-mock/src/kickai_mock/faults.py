"""The grammar of faults: one entry of text says what one call does.

An entry is ``KIND`` or ``KIND:ARGUMENT``. `KINDS` is the whole vocabulary; `Fault.parse` reads an entry.
"""

from __future__ import annotations

from difflib import get_close_matches
from math import inf, isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self

from attrs import frozen
from kickai_providers_core.values import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CALLS", "KINDS", "OK", "Fault", "Kind"]

CALLS = frozenset({"tool_call", "same_ids", "no_ids", "cut_arguments"})
"""The kinds that answer with calls of a tool."""


@frozen(kw_only=True)
class Kind:
    """One word of the vocabulary.

    Attributes:
        meaning: What a call does that has this fault, for the table of the documentation.
        takes: What its argument is, empty when it takes none.
        needs: Whether the argument must be there.
        error: The class that is raised; None when the fault is something else than an error.
        status_code: The HTTP status that real services send with it; None when no answer came.
        field: The field of the error that the argument fills in.
        reached: Whether the service was reached at all, for an error that says so.
    """

    meaning: str
    takes: Literal["", "seconds", "tokens", "word"] = ""
    needs: bool = False
    error: type[errors.ProviderError] | None = None
    status_code: int | None = None
    field: str = ""
    reached: bool = True


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "ok": Kind(meaning="no fault: the ordinary answer"),
        "timeout": Kind(meaning="no answer in time", error=errors.ProviderTimeoutError),
        "rate_limited": Kind(
            meaning="too many requests",
            takes="seconds",
            error=errors.RateLimitedError,
            status_code=429,
            field="retry_after_s",
        ),
        "unavailable": Kind(
            meaning="service unavailable",
            takes="seconds",
            error=errors.ProviderUnavailableError,
            status_code=503,
            field="retry_after_s",
        ),
        "unreachable": Kind(meaning="nothing reached", error=errors.ProviderUnavailableError, reached=False),
        "invalid_reply": Kind(meaning="unusable answer", error=errors.InvalidReplyError, status_code=200),
        "authentication": Kind(meaning="key refused", error=errors.AuthenticationError, status_code=401),
        "quota_exhausted": Kind(
            meaning="credit spent",
            takes="seconds",
            error=errors.QuotaExhaustedError,
            status_code=402,
            field="retry_after_s",
        ),
        "model_not_found": Kind(meaning="model not served", error=errors.ModelNotFoundError, status_code=404),
        "unsupported_request": Kind(
            meaning="what this model cannot do", error=errors.UnsupportedRequestError, status_code=400
        ),
        "invalid_request": Kind(meaning="request refused", error=errors.InvalidRequestError, status_code=400),
        "context_length_exceeded": Kind(
            meaning="prompt too long for the model's window",
            takes="tokens",
            error=errors.ContextLengthExceededError,
            status_code=400,
            field="limit_tokens",
        ),
        "content_filtered": Kind(
            meaning="prompt or answer withheld",
            takes="word",
            error=errors.ContentFilteredError,
            status_code=400,
            field="reason",
        ),
        "slow_first_token": Kind(meaning="so much longer until the first piece", takes="seconds", needs=True),
        "stall": Kind(meaning="nothing more after half the answer, for so long or for ever", takes="seconds"),
        "cut": Kind(meaning="the stream ends after half the answer, without a finish reason"),
        "malformed": Kind(meaning="something that is no reply and no chunk"),
        "empty": Kind(meaning="a reply without text"),
        "silence": Kind(meaning="nothing, until the time is over"),
        "tool_call": Kind(meaning="a call of the named tool, or of the request's first", takes="word"),
        "same_ids": Kind(meaning="two such calls under one id", takes="word"),
        "no_ids": Kind(meaning="two such calls without an id", takes="word"),
        "cut_arguments": Kind(meaning="such a call whose arguments end half-way", takes="word"),
        "halves": Kind(meaning="an answer with a character whose UTF-16 halves come in two pieces"),
    }
)
"""Every kind of fault. The statuses are those of RFC 9110, and what OpenAI-compatible services send."""


@frozen
class Fault:
    """What one call does.

    Attributes:
        kind: A key of `KINDS`.
        argument: What stood after the colon: seconds, tokens or a word; None when nothing did.
    """

    kind: str
    argument: float | str | None = None

    @classmethod
    def parse(cls, entry: str) -> Self:
        """Return the fault that an entry describes.

        Raises:
            ValueError: No fault has that name, or its argument is missing, superfluous or of the wrong form.
        """
        name, colon, argument = (part.strip() for part in entry.partition(":"))
        kind = KINDS.get(name)
        if kind is None:
            near = get_close_matches(name, KINDS, n=1)
            told = f"the nearest is {near[0]!r}" if near else f"there are {', '.join(KINDS)}"
            raise ValueError(f"{name!r} is no fault; {told}")
        if not colon:
            if kind.needs:
                raise ValueError(f"{name!r} needs a number of {kind.takes}: write '{name}:0.5'")
            return cls(name)
        if not kind.takes:
            raise ValueError(f"{name!r} takes nothing after it, found {entry!r}")
        return cls(name, _argument(kind.takes, argument, entry))

    def error(self) -> errors.ProviderError | None:
        """Return a new error of the fault's class, or None when it has none."""
        kind = KINDS[self.kind]
        if kind.error is None:
            return None
        fields: dict[str, Any] = {} if self.argument is None else {kind.field: self.argument}
        if not kind.reached:
            fields["reached"] = False
        return kind.error(f"simulated: {kind.meaning}", status_code=kind.status_code, **fields)

    @property
    def before_first_s(self) -> float:
        """The seconds that it adds before the first piece."""
        if self.kind == "slow_first_token":
            return float(self.argument or 0.0)
        return inf if self.kind == "silence" else 0.0

    @property
    def half_way_s(self) -> float:
        """The seconds that it adds half-way through the answer."""
        if self.kind != "stall":
            return 0.0
        return inf if self.argument is None else float(self.argument)

    def __str__(self) -> str:
        return self.kind if self.argument is None else f"{self.kind}:{self.argument}"


OK = Fault("ok")
"""No fault."""


_FORMS = {"seconds": "a number of seconds from 0", "tokens": "a whole number of tokens from 1", "word": "a word"}


def _argument(takes: str, text: str, entry: str) -> float | str:
    value: float | str | None = text or None
    if takes != "word":
        value = _number(text, whole=takes == "tokens")
    if value is None:
        raise ValueError(f"{entry!r} must have {_FORMS[takes]} after the colon, found {text!r}")
    return value


def _number(text: str, *, whole: bool) -> float | None:
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        return None
    return number if isfinite(number) and number >= (1 if whole else 0) else None
