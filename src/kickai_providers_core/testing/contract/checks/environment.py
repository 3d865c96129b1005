"""What the environment may not change: the key, the address, the trust in certificates."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.helpers.constants import KEY
from kickai_providers_core.testing.contract.helpers.harness import with_long_timeouts
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode
from kickai_providers_core.testing.contract.helpers.requirements import find_key_fields, require_key
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.contract.helpers.vendor import find_variables, find_vendor_packages
from kickai_providers_core.testing.faults import FaultServer, self_signed
from kickai_providers_core.values.errors import ProviderError, ProviderUnavailableError, UnusableProviderError
from kickai_providers_core.values.secrets import Secret

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["EnvironmentTests"]

EMPTY = Secret("")
CANARY = "canary-key-of-the-environment"
SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)$")
ADDRESS = re.compile(r"(URL|URI|HOST|ENDPOINT|BASE)$")
NETWORK = re.compile(r"PROXY|SSL|CERT|CA_BUNDLE|HOSTNAME", re.IGNORECASE)
"""Variables of the machine's network, which a client may use."""


class EnvironmentTests(ProviderSpec):
    """Explicit settings win over the environment, and TLS certificates are verified."""

    @in_each_mode
    def test_explicit_settings_win_over_the_environment(
        self, harness: ProviderHarness, mode: Mode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Keys and addresses in the variables of the plugin and of its vendor's client change nothing."""
        with FaultServer(harness.server.wire) as elsewhere:
            names = _set_canaries(harness, monkeypatch, elsewhere.url)
            harness.attempt(mode, is_new=True).reply  # noqa: B018
            visits = len(elsewhere.requests)
        assert not visits, (
            f"the provider called the address in one of {', '.join(names)} instead of the one in its settings: "
            "pass the address to the client"
        )
        assert harness.server.requests, "the provider did not call the address in its settings"
        for request in harness.server.requests:
            text = f"{request.path} {dict(request.headers)} {request.body!r}"
            assert CANARY not in text, (
                f"a key in one of {', '.join(names)} was sent instead of the one in the settings: "
                "pass the key to the client"
            )

    @in_each_mode
    def test_a_key_in_the_environment_is_not_sent_instead_of_none(
        self, harness: ProviderHarness, mode: Mode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a key in its settings, a provider sends none that its vendor's client finds by itself.

        The core fills in the key, and only for the address that it belongs to.
        """
        require_key(harness)
        _set_canaries(harness, monkeypatch, harness.server.url)
        changes: dict[str, Any] = dict.fromkeys(find_key_fields(harness), EMPTY)
        with suppress(ProviderError):  # a plugin may refuse to create a provider without a key
            harness.attempt(mode, **changes)
        for request in harness.server.requests:
            assert CANARY not in str(dict(request.headers)), (
                "a key in the environment was sent although the settings have none: turn the client's own look-up off"
            )

    @in_each_mode
    def test_a_self_signed_certificate_is_refused(self, harness: ProviderHarness, mode: Mode) -> None:
        """A certificate that nobody trusts ends the call before anything is sent."""
        if not self.speaks_tls:
            pytest.skip("not applicable: speaks_tls is False")
        harness.server  # skips the test without a wire  # noqa: B018
        with self_signed() as service:
            outcome = harness.attempt_at(mode, f"https://127.0.0.1:{service.port}")
        assert not service.received, (
            "the provider sent its request, with the key, to a service with a self-signed certificate: "
            "do not turn the verification of certificates off"
        )
        error = outcome.raises(ProviderUnavailableError, UnusableProviderError)
        assert KEY.reveal() not in repr(error), "the error contains the key"

    def test_validating_online_refuses_a_self_signed_certificate(self, harness: ProviderHarness) -> None:
        """Online validation, which sends the key too, sends nothing to a service with such a certificate."""
        require_key(harness)
        if not self.speaks_tls:
            pytest.skip("not applicable: speaks_tls is False")
        harness.server  # skips the test without a wire  # noqa: B018
        with self_signed() as service:
            settings = with_long_timeouts(self.settings(f"https://127.0.0.1:{service.port}", KEY))
            list(harness.hook.kickai_validate_provider(settings=settings, online=True) or ())
        assert not service.received, (
            "online validation sent its request, with the key, to a service with a self-signed certificate: "
            "do not turn the verification of certificates off"
        )


def _set_canaries(harness: ProviderHarness, monkeypatch: pytest.MonkeyPatch, url: str) -> list[str]:
    """Set each variable of the plugin and of its vendor's client; return their names."""
    spec = harness.spec
    own = set(harness.info.environment)
    vendors = find_variables(find_vendor_packages(spec.plugin, spec.vendor)) | set(spec.vendor_environment)
    chosen = []
    for name in sorted(own | vendors):
        if NETWORK.search(name):
            continue
        if SECRET.search(name):
            monkeypatch.setenv(name, CANARY)
        elif ADDRESS.search(name) or harness.info.environment.get(name, "") in {"url", "host", "base_url"}:
            monkeypatch.setenv(name, url)
        else:
            continue
        chosen.append(name)
    return chosen
