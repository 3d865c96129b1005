"""A target: a provider instance, and the model to ask it for."""

from __future__ import annotations

from typing import Self

from attrs import field, frozen

from kickai_providers_core.values.base_errors import ArgumentValueError
from kickai_providers_core.values.validation import (
    Text,
    hide_arguments,
    hide_constructor_arguments,
    quote,
    raise_type_error,
)

__all__ = ["Target"]


@hide_constructor_arguments
@frozen
class Target:
    """One link of a chain.

    Attributes:
        provider: The instance's name in the settings, or a plugin's name or alias.
        model: The model to ask for; None for the instance's own.
    """

    provider: str = field(validator=Text())
    model: str | None = field(default=None, validator=Text(optional=True))

    @classmethod
    @hide_arguments
    def of(cls, target: str | Target) -> Target:
        """Return the target that a text names, or the target itself.

        Raises:
            TypeError: It is neither.
            ValueError: The text is malformed.
        """
        if isinstance(target, Target):
            return target
        if not isinstance(target, str):
            raise_type_error("a target", "text ('instance' or 'instance:model') or a Target", quote(target))
        return cls.parse(target)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the target written as ``instance`` or ``instance:model``; a model may hold further colons.

        Raises:
            ValueError: There is no instance before the colon, no model after it, or several targets in one text.
        """
        provider, colon, model = text.strip().partition(":")
        if "," in text:
            message = f"{text!r} is not one target: pass each target as an argument of its own"
            raise ArgumentValueError(message)
        if not provider or (colon and not model):
            message = f"{text!r} is not a target: write 'instance' or 'instance:model'"
            raise ArgumentValueError(message)
        return cls(provider.strip(), model.strip() or None)

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider
