"""The table ``[prices]``: prices that the price list does not have, and the free tier's credit."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  read when the settings are structured

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.validation import Number

__all__ = ["ModelPrice", "PriceSettings"]


@frozen(kw_only=True, eq=False, repr=False)
class ModelPrice(Value):
    """One table ``[prices.models."MODEL"]`` or ``[prices.models."INSTANCE:MODEL"]``.

    Attributes:
        input_usd_per_million: The price of a million input tokens in USD, from 0.
        output_usd_per_million: The price of a million output tokens in USD, including reasoning, from 0.
        cached_usd_per_million: The price of a million input tokens from a cache; None for that of other input tokens.
    """

    input_usd_per_million: float = field(default=0.0, validator=Number(minimum=0))
    output_usd_per_million: float = field(default=0.0, validator=Number(minimum=0))
    cached_usd_per_million: float | None = field(default=None, validator=Number(minimum=0, optional=True))


@frozen(kw_only=True, eq=False, repr=False)
class PriceSettings(Value):
    """The table ``[prices]``, for ``kickai report`` and for the budgets of the gateway's keys.

    Attributes:
        free_credit_usd_per_month: The free credit of Hugging Face in each calendar month (UTC), in USD, from 0.
        models: Prices by model, or by ``instance:model``. They replace those of the price list.
    """

    free_credit_usd_per_month: float = field(default=0.0, validator=Number(minimum=0))
    models: Mapping[str, ModelPrice] = field(factory=dict)
