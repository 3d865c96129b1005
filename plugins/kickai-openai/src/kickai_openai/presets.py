"""What is special about each service, read from ``presets.toml``. Pure data."""

from __future__ import annotations

import tomllib
from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen
from kickai_providers_core import Capability

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DEFAULT", "OTHER", "PRESETS", "MaxTokensField", "Service"]

MaxTokensField = Literal["max_tokens", "max_completion_tokens"]

DEFAULT = "openai"
"""The preset of an instance with neither a preset nor an address."""


def _convert_capabilities(names: Iterable[str]) -> frozenset[Capability]:
    return frozenset(map(Capability, names))


@frozen(kw_only=True)
class Service:
    """One service. The attributes are the keys of ``presets.toml``, which explains them."""

    title: str
    base_url: str
    key_variable: str | None = None
    model: str | None = None
    needs_model: bool = True
    max_tokens_field: MaxTokensField = "max_tokens"
    seed_field: str = "seed"
    stream_usage: bool = True
    lacks: frozenset[Capability] = field(default=(), converter=_convert_capabilities)
    fixed_sampling: tuple[str, ...] = field(default=(), converter=tuple)
    notes: str = ""
    sources: tuple[str, ...] = field(default=(), converter=tuple)
    checked: date = date.min
    called: bool = False

    def find_unsent(self, model: str | None) -> tuple[str, ...]:
        """Return the names of the request's fields that a model refuses."""
        name = (model or "").rpartition("/")[2]
        return ("temperature", "stop") if name.startswith(self.fixed_sampling) else ()


def _read() -> Mapping[str, Service]:
    text = files("kickai_openai").joinpath("presets.toml").read_text(encoding="utf-8")
    return {name: Service(**row) for name, row in tomllib.loads(text).items()}


PRESETS = _read()
"""The services by the value of the setting ``preset``."""

OTHER = Service(title="another service", base_url="", needs_model=False)
"""A service without a preset: OpenAI's protocol without anything special."""
