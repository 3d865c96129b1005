"""A problem: one reason why settings, a plugin or a provider cannot be used."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.jsonable import Jsonable
from kickai_providers_core.values.validation import OneOf, Text

__all__ = ["Problem"]


@frozen(kw_only=True, eq=False, repr=False)
class Problem(Value, Jsonable):
    """One reason why something cannot be used, with what to do about it.

    Attributes:
        path: A dotted path such as ``providers.huggingface.timeout_s``; empty for the whole.
        message: What is wrong and what was expected, as one sentence without the path.
        hint: What to do about it, as one sentence; may be empty.
        source: The file or environment variable that the value came from; empty when unknown.
        missing: The short name of what is missing, for "not configured (…)": an environment variable, a package, a
            file. Empty when nothing is missing.
        severity: ``"error"`` prevents use, ``"warning"`` does not, ``"note"`` is information.
    """

    path: str = field(validator=Text(empty=True))
    message: str = field(validator=Text())
    hint: str = field(default="", validator=Text(empty=True))
    source: str = field(default="", validator=Text(empty=True))
    missing: str = field(default="", validator=Text(empty=True))
    severity: Literal["error", "warning", "note"] = field(
        default="error", validator=OneOf(("error", "warning", "note"))
    )

    def as_dict(self) -> dict[str, str]:
        """Return all fields under their names."""
        return {
            "severity": self.severity,
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
            "source": self.source,
            "missing": self.missing,
        }

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.source, self.path) if part)
        sentence = f"{where}: {self.message}" if where else self.message
        return f"{sentence}. {self.hint}" if self.hint else sentence
