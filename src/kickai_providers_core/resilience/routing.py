"""Routing: which requests go to a stronger provider first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen
from attrs.validators import ge, optional

from kickai_providers_core.resilience.tokens import estimate_min_tokens
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.requests import Capability  # noqa: TC001 # the settings are read by these types
from kickai_providers_core.values.targets import Target  # noqa: TC001

if TYPE_CHECKING:
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["Routing"]


@frozen(kw_only=True, eq=False, repr=False)
class Routing(Value):
    """The table ``[routing]``. A request that meets one condition goes to the stronger provider's targets first.

    Attributes:
        strong: The stronger instance, or one target of it; None for no routing.
        above_tokens: Routes prompts with more tokens than this, by a low estimate; None for none.
        needs: Routes requests that need one of these capabilities.
    """

    strong: Target | None = None
    above_tokens: int | None = field(default=None, validator=optional(ge(0)))
    needs: tuple[Capability, ...] = ()

    def choose(self, request: ChatRequest) -> Target | None:
        """Return the target or instance that a request should go to first, or None."""
        if self.strong is None:
            return None
        if self.needs and request.needs.intersection(self.needs):
            return self.strong
        large = self.above_tokens is not None and estimate_min_tokens(request) > self.above_tokens
        return self.strong if large else None
