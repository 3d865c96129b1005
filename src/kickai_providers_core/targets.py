"""A target: a provider instance, and the model to ask it for."""

from __future__ import annotations

from typing import Self

from attrs import frozen

__all__ = ["Target"]


@frozen
class Target:
    """One link of a chain.

    Attributes:
        provider: The instance's name in the settings, or a plugin's name or alias.
        model: The model to ask for; None for the instance's own.
    """

    provider: str
    model: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the target written as ``instance`` or ``instance:model``; a model may hold further colons.

        Raises:
            ValueError: There is no instance before the colon, or no model after it.
        """
        provider, colon, model = text.strip().partition(":")
        if not provider or (colon and not model):
            message = f"{text!r} is no target: write 'instance' or 'instance:model'"
            raise ValueError(message)
        return cls(provider.strip(), model.strip() or None)

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider
