"""Which requests go to a stronger provider first: the rule of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen
from attrs.validators import ge, optional

from kickai_providers_core.resilience.tokens import least_tokens
from kickai_providers_core.values.requests import Capability  # noqa: TC001 # the settings are read by these types
from kickai_providers_core.values.targets import Target  # noqa: TC001

if TYPE_CHECKING:
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["Routing"]


@frozen(kw_only=True)
class Routing:
    """The table ``[routing]``. A request that meets either condition goes to the stronger provider's targets first.

    Attributes:
        strong: The instance, or one target of it, that is asked first then; None for no rule.
        above_tokens: The condition on the size of the prompt, estimated low: more tokens than this; None for none.
        needs: The condition on what the request needs: any of these capabilities.
    """

    strong: Target | None = None
    above_tokens: int | None = field(default=None, validator=optional(ge(0)))
    needs: tuple[Capability, ...] = ()

    def calls_for(self, request: ChatRequest) -> Target | None:
        """Return whose targets a request should be sent to first, or None when the rule says nothing of it."""
        if self.strong is None:
            return None
        if self.needs and request.needs.intersection(self.needs):
            return self.strong
        large = self.above_tokens is not None and least_tokens(request) > self.above_tokens
        return self.strong if large else None
