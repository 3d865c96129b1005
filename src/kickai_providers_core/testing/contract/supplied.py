"""What the author of a provider supplies to the conformance tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kickai_providers_core.values.messages import Usage
from kickai_providers_core.values.replies import FinishReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.testing.faults import Fault, Wire
    from kickai_providers_core.values.secrets import Secret

__all__ = ["Supplied"]


class Supplied:
    """The part of a `ProviderContract` that a subclass fills in; all else of it stays as it is.

    Attributes:
        plugin: The plugin: a module or an object with the hook implementations.
        wire: How one answer of the service looks; None for a provider that speaks no HTTP.
        vendor: Modules that may be imported on first use, but not at discovery: the vendor's client.
        model: The model that requests name.
        needs_key: Whether the provider cannot be used without a key.
        speaks_tls: Whether ``settings`` can be given an ``https://`` address.
        usage: The tokens that the wire's answers state; None when the service does not count.
        finish_reasons: Why the wire's answers can stop.
        never_says: Kinds of error, as `Wire.error` names them, for which the service has no words.
        patience_s: The timeout that is set where a test waits for one to run out.
        slack_s: How much later than its timeout an attempt may end. The seam promises 0.25 s; a slow machine that
            runs other things needs more.
        expected_failures: From a test's name, with or without its parameters in brackets, to the reason why it fails.
            Such a test must fail: one that passes is an error.
    """

    plugin: ClassVar[object]
    wire: ClassVar[Wire | None] = None
    vendor: ClassVar[tuple[str, ...]] = ()
    model: ClassVar[str] = "test-model"
    needs_key: ClassVar[bool] = True
    speaks_tls: ClassVar[bool] = True
    usage: ClassVar[Usage | None] = Usage(input_tokens=11, output_tokens=5)
    finish_reasons: ClassVar[frozenset[FinishReason]] = frozenset({FinishReason.STOP, FinishReason.LENGTH})
    never_says: ClassVar[frozenset[str]] = frozenset()
    patience_s: ClassVar[float] = 0.3
    slack_s: ClassVar[float] = 0.5
    expected_failures: ClassVar[Mapping[str, str]] = {}

    def settings(self, url: str, key: Secret) -> ProviderSettings:  # noqa: ARG002 - for subclasses
        """Return settings for a service at this address that wants this key.

        Args:
            url: ``http://127.0.0.1:PORT``; empty for a provider without a wire.
            key: What to authenticate with.
        """
        message = f"{type(self).__name__} does not define settings(url, key)"
        raise TypeError(message)

    def settings_for(self, fault: Fault) -> ProviderSettings | None:  # noqa: ARG002 - for subclasses
        """Return settings that make the next call meet a fault, for a provider without a wire.

        Returns:
            The settings, or None when the provider cannot be told to: then the test does not apply.
        """
        return None
