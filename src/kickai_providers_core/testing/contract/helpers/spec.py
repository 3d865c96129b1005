"""What the author of a provider says about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kickai_providers_core.values.replies import FinishReason
from kickai_providers_core.values.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.testing.faults import Fault, Wire
    from kickai_providers_core.values.secrets import Secret

__all__ = ["ProviderSpec"]


class ProviderSpec:
    """The part of a `ProviderContract` or a `FaultMatrix` that a subclass fills in.

    Attributes:
        plugin: The module or the object with the hook implementations.
        wire: How the service responds; None for a provider that does not use HTTP.
        vendor: Modules that must not be imported before the first use: the vendor's client. What the plugin's
            distribution requires is found without it.
        vendor_environment: Environment variables of the vendor's client that the kit does not find in its source.
        model: The model that requests name.
        needs_key: Whether the provider cannot work without a key.
        speaks_tls: Whether ``settings`` accepts an ``https://`` address.
        usage: The token counts in the wire's answers; None when the service does not count.
        finish_reasons: The finish reasons that the wire's answers can have.
        unknown_finish_is_stop: Whether the service documents that an answer with an unknown finish reason, or with
            none, is whole; such an answer may then be a reply.
        never_says: Kinds of error, as in `Wire.error`, that the service does not have.
        patience_s: The timeout in tests that wait for one to expire, in seconds.
        slack_s: How much later than its timeout an attempt may end, in seconds. The plugin API promises 0.25 s; a busy
            machine may need five times as long.
        expected_failures: From the name of a test that fails, with or without its parameters in brackets, to the
            reason. Such a test must fail: if it passes, that is an error.
    """

    plugin: ClassVar[object]
    wire: ClassVar[Wire | None] = None
    vendor: ClassVar[tuple[str, ...]] = ()
    vendor_environment: ClassVar[tuple[str, ...]] = ()
    model: ClassVar[str] = "test-model"
    needs_key: ClassVar[bool] = True
    speaks_tls: ClassVar[bool] = True
    usage: ClassVar[Usage | None] = Usage(input_tokens=11, output_tokens=5)
    finish_reasons: ClassVar[frozenset[FinishReason]] = frozenset({FinishReason.STOP, FinishReason.LENGTH})
    unknown_finish_is_stop: ClassVar[bool] = False
    never_says: ClassVar[frozenset[str]] = frozenset()
    patience_s: ClassVar[float] = 0.3
    slack_s: ClassVar[float] = 1.25
    expected_failures: ClassVar[Mapping[str, str]] = {}

    def settings(self, url: str, key: Secret) -> ProviderSettings:  # noqa: ARG002 - for subclasses
        """Return settings for a service at this address that accepts this key.

        Args:
            url: ``http://127.0.0.1:PORT``; empty for a provider without a wire.
            key: The key.
        """
        message = f"{type(self).__name__} must define settings(url, key)"
        raise TypeError(message)

    def settings_for(self, fault: Fault) -> ProviderSettings | None:  # noqa: ARG002 - for subclasses
        """Return settings with which the next call meets a fault, for a provider without a wire.

        Returns:
            The settings, or None when that is not possible: the test is then skipped.
        """
        return None
