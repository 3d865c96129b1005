"""What is special about each service, read from ``presets.json``. Pure data."""

from __future__ import annotations

import json
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


def _convert_date(day: str | date) -> date:
    return day if isinstance(day, date) else date.fromisoformat(day)


@frozen(kw_only=True)
class Service:
    """One service: the attributes are the keys of a row of ``presets.json``.

    Attributes:
        title: The service's name.
        base_url: Its address.
        key_variable: The environment variable with the key; None when no key is required.
        model: The model when none is named.
        needs_model: Whether each request must name a model; otherwise the service chooses one.
        max_tokens_field: The name of the field with the token limit.
        seed_field: The name of the field with the seed.
        stream_usage: Whether it accepts ``stream_options``.
        lacks: Capabilities that no model of the service has.
        fixed_sampling: Beginnings of the names of models that refuse ``temperature`` and ``stop``.
        notes: What the service ignores, refuses or needs, for readers.
        sources: Where this was read, the service's own page first.
        checked: When it was read.
        called: Whether the tests call the service itself; the others follow its documentation.
    """

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
    checked: date = field(default=date.min, converter=_convert_date)
    called: bool = False

    def find_unsent(self, model: str | None) -> tuple[str, ...]:
        """Return the names of the request's fields that a model refuses."""
        name = (model or "").rpartition("/")[2]
        return ("temperature", "stop") if name.startswith(self.fixed_sampling) else ()


def _read() -> Mapping[str, Service]:
    text = files("kickai_openai").joinpath("presets.json").read_text(encoding="utf-8")
    return {name: Service(**row) for name, row in json.loads(text).items()}


PRESETS = _read()
"""The services by the value of the setting ``preset``."""

OTHER = Service(title="another service", base_url="", needs_model=False)
"""A service without a preset: OpenAI's protocol without anything special."""
