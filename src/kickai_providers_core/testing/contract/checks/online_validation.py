"""Online validation: it reports a key that the service refuses, and shows neither the key nor the service's words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from kickai_providers_core.testing.contract.checks.service_messages import WORDS
from kickai_providers_core.testing.contract.helpers.constants import KEY
from kickai_providers_core.testing.contract.helpers.requirements import find_key_fields, require_key
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import Status

if TYPE_CHECKING:
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.values.problems import Problem

__all__ = ["OnlineValidationTests"]


class OnlineValidationTests(ProviderSpec):
    """What `kickai doctor --online` shows of a provider."""

    @pytest.mark.parametrize("code", [401, 403])
    def test_validating_online_finds_a_refused_key(self, harness: ProviderHarness, code: int) -> None:
        """Online validation that calls the service reports a key that the service refuses, without showing it."""
        require_key(harness)
        harness.server.default = Status(code, "auth")
        problems = _validate(harness)
        if not harness.server.requests:
            pytest.skip("not applicable: online validation does not call the service")
        assert any(problem.severity == "error" for problem in problems), (
            f"the service answered {code} to online validation, which returned {[*map(str, problems)]}: "
            "return a Problem of severity error"
        )

    @pytest.mark.parametrize("code", [500, 503])
    def test_validating_online_blames_no_key_for_an_outage(self, harness: ProviderHarness, code: int) -> None:
        """Online validation does not report a key as refused when the service is out of order."""
        require_key(harness)
        harness.server.default = Status(code, "unavailable")
        blamed = [
            each for each in _validate(harness) if each.path in find_key_fields(harness) and each.severity == "error"
        ]
        assert not blamed, f"the service answered {code}, but validation blames the key: {[*map(str, blamed)]}"

    def test_validating_online_shows_no_key(self, harness: ProviderHarness) -> None:
        """Online validation sends the key in headers only, and shows neither it nor the words of the service."""
        require_key(harness)
        for fault in (None, Status(401, "auth"), Status(500, body=_with_key())):
            if fault is not None:
                harness.server.default = fault
            shown = " ".join(f"{problem!r} {problem}" for problem in _validate(harness))
            assert KEY.reveal() not in shown, f"a Problem of online validation contains the key ({fault})"
            assert WORDS not in shown, f"a Problem of online validation repeats the service's words: {shown}"
        for request in harness.server.requests:
            assert KEY.reveal() not in request.path, "online validation sent the key in the URL"
            assert KEY.reveal().encode() not in request.body, "online validation sent the key in the body"


def _validate(harness: ProviderHarness) -> list[Problem]:
    settings = evolve(
        harness.settings, timeout_s=harness.spec.patience_s + 1, connect_timeout_s=harness.spec.patience_s + 1
    )
    return list(harness.hook.kickai_validate_provider(settings=settings, online=True) or ())


def _with_key() -> bytes:
    return json.dumps({"error": {"message": f"{WORDS} {KEY.reveal()}"}}).encode()
