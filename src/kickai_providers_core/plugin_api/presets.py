"""Well-known services of a plugin that serves several: ``preset = "groq"`` in an instance's table."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.validation import InstanceOf, Text, describe_type, raise_type_error

__all__ = ["Preset", "validate_presets"]


@frozen(kw_only=True, eq=False, repr=False)
class Preset(Value):
    """One service that an instance can name with the setting ``preset``.

    The plugin's settings class must have the field ``preset``, and applies the preset's defaults itself. The core only
    needs to know where the key is, and where it may be sent.

    Attributes:
        address: The service's address, as a URL. A key from the environment is sent to its scheme, host and port only.
        environment: Maps environment variables to the settings fields that they fill, as `ProviderInfo.environment`
            does. They apply to each instance with this preset, in place of the plugin's own variables.
    """

    address: str = field(validator=Text())
    environment: Mapping[str, str] = field(factory=dict, validator=InstanceOf(Mapping))


def validate_presets(_info: object, _field: object, presets: object) -> None:
    """Raise unless the value maps names to presets."""
    if not isinstance(presets, Mapping):
        raise_type_error("ProviderInfo.presets", "a mapping from names to Presets", describe_type(presets))
    for name, preset in presets.items():
        if not isinstance(preset, Preset):
            raise_type_error(f"ProviderInfo.presets[{name!r}]", "a Preset", describe_type(preset))
