"""A target: a provider instance and a model."""

from __future__ import annotations

from typing import Self

from attrs import field, frozen

from kickai_providers_core.values.base_errors import ArgumentValueError
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.validation import (
    Text,
    hide_arguments,
    hide_constructor_arguments,
    quote,
    raise_type_error,
)

__all__ = ["Target"]


@hide_constructor_arguments
@frozen(eq=False, repr=False)
class Target(Value):
    """One target of a chain.

    Attributes:
        provider: The instance's name in the settings, or a plugin's name or alias.
        model: The requested model; None for the instance's own.
    """

    provider: str = field(validator=Text())
    model: str | None = field(default=None, validator=Text(optional=True))

    @classmethod
    @hide_arguments
    def of(cls, target: str | Target) -> Target:
        """Return the target for a string; return a `Target` unchanged.

        Raises:
            TypeError: The value is neither a string nor a `Target`.
            ValueError: The string is malformed.
        """
        if isinstance(target, Target):
            return target
        if not isinstance(target, str):
            raise_type_error("a target", "text ('instance' or 'instance:model') or a Target", quote(target))
        return cls.parse(target)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the target for ``instance`` or ``instance:model``; the model may contain colons.

        Raises:
            ValueError: The instance or the model is empty, or the string contains several targets.
        """
        provider, colon, model = text.strip().partition(":")
        if "," in text:
            message = f"{text!r} is not one target: pass each target as a separate argument"
            raise ArgumentValueError(message)
        if not provider or (colon and not model):
            message = f"{text!r} is not a target: write 'instance' or 'instance:model'"
            raise ArgumentValueError(message)
        return cls(provider.strip(), model.strip() or None)

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider
