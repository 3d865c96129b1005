"""Descriptions of provider plugins for tests that read settings and call no provider."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from attrs import field, frozen
from attrs.validators import ge, in_, le, matches_re

from kickai_providers_core import ModelInfo, ProviderInfo, ProviderSettings, Secret


class Size(StrEnum):
    """An enumeration in a setting."""

    SMALL = "small"
    LARGE = "large"


@frozen(kw_only=True)
class Fault:
    """A table within an instance's table."""

    rate: float = field(default=0.0, validator=[ge(0), le(1)])
    kinds: tuple[str, ...] = ()


def _starts_with_http(_instance, _attribute, value):
    if value is not None and not value.startswith("http"):
        message = "an address starts with http:// or https://"
        raise ValueError(message)


@frozen(kw_only=True)
class HuggingSettings(ProviderSettings):
    """The settings of a vendor with a key and an address."""

    token: Secret = field(factory=lambda: Secret(""))
    base_url: str | None = field(default=None, validator=_starts_with_http)
    bill_to: str = ""
    stream_usage: bool = True


@frozen(kw_only=True)
class GeminiSettings(ProviderSettings):
    """The settings of a vendor with several keys and several switches."""

    api_key: Secret | None = None
    spare_keys: tuple[Secret, ...] = ()
    keys_by_project: Mapping[str, Secret] = field(factory=dict)
    client: Literal["auto", "new", "old"] = "auto"
    size: Size = Size.SMALL
    project: str = field(default="p-1", validator=matches_re(r"p-\d+"))
    region: str = field(default="eu", validator=in_(["eu", "us"]))
    window: tuple[int, int] = (0, 24)
    limit: int | str = 0


@frozen(kw_only=True)
class MockSettings(ProviderSettings):
    """The settings of a provider for tests."""

    replies: tuple[str, ...] = ()
    seed: int = 0
    latency_s: float = field(default=0.0, validator=ge(0))
    fault: Fault = field(factory=lambda: Fault(rate=0.5))
    faults: Mapping[str, Fault] = field(factory=dict)


INFOS = {
    info.name: info
    for info in (
        ProviderInfo(
            name="huggingface",
            summary="Hugging Face",
            settings_class=HuggingSettings,
            aliases=("hf",),
            environment={"HUGGINGFACE_API_TOKEN": "token", "HF_TOKEN": "token", "HF_NOTHING": "no_field_of_this_name"},
        ),
        ProviderInfo(
            name="gemini",
            summary="Gemini",
            settings_class=GeminiSettings,
            environment={"GOOGLE_API_KEY": "api_key", "GEMINI_API_KEY": "api_key"},
            models={
                "gemini-3.5-flash-lite": ModelInfo(context_window=1_000_000),
                "gemini-0.9": ModelInfo(successor="gemini-1.5-flash"),
            },
        ),
        ProviderInfo(name="mock", summary="Mock", settings_class=MockSettings, environment={"MOCK_SEED": "seed"}),
    )
}
"""By name, as discovery gives them."""
