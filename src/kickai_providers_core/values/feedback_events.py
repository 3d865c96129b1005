"""The event of an answer that the application has rated."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from kickai_providers_core.values.events import Event

__all__ = ["FeedbackGiven"]


@frozen(slots=False, eq=False, repr=False)
class FeedbackGiven(Event):
    """The application has rated an answer.

    Attributes:
        provider: The instance that answered.
        model: The model that answered; may be empty.
        name: What was rated.
        ok: Whether it was good.
    """

    provider: str
    model: str
    name: str
    ok: bool

    def __str__(self) -> str:
        target = f"{self.provider}:{self.model}" if self.model else self.provider
        return f"{target}: {self.name} was {'good' if self.ok else 'bad'}"

    def _build_fields(self) -> dict[str, Any]:
        return {
            "gen_ai.provider.name": self.provider,
            "gen_ai.response.model": self.model or None,
            "gen_ai.evaluation.name": self.name,
            "kickai.feedback.ok": self.ok,
        }
