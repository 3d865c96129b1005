"""Token counts and the cost of an answer."""

from __future__ import annotations

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.jsonable import Jsonable
from kickai_providers_core.values.validation import Number, hide_constructor_arguments

__all__ = ["Usage"]


@hide_constructor_arguments
@frozen(kw_only=True, slots=False, eq=False, repr=False)
class Usage(Value, Jsonable):
    """The token counts and the cost of one answer, as the provider reported them; integers from 0.

    Attributes:
        input_tokens: The tokens of the prompt, including cached tokens.
        output_tokens: All tokens billed as output, including reasoning.
        cached_tokens: The input tokens that came from a cache.
        reasoning_tokens: The output tokens that were used for reasoning.
        cost_nano_usd: What the service charges for the answer, as it states, in billionths of a US dollar; None when it
            does not state it.
    """

    input_tokens: int = field(validator=Number(integer=True, minimum=0))
    output_tokens: int = field(validator=Number(integer=True, minimum=0))
    cached_tokens: int = field(default=0, validator=Number(integer=True, minimum=0))
    reasoning_tokens: int = field(default=0, validator=Number(integer=True, minimum=0))
    cost_nano_usd: int | None = field(
        default=None, validator=Number(integer=True, minimum=0, optional=True), repr=False
    )

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def as_dict(self) -> dict[str, int]:
        """Return all counts, with ``total_tokens``, and the cost if the service states it."""
        cost = {} if self.cost_nano_usd is None else {"cost_nano_usd": self.cost_nano_usd}
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cached_tokens": self.cached_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "total_tokens": self.total_tokens,
            **cost,
        }
