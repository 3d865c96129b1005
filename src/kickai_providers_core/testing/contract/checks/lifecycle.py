"""Validation, creation and closing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs
import pytest

from kickai_providers_core.plugin_api.hookspecs import Progress
from kickai_providers_core.testing.contract.helpers.calls import run_coroutine, run_with_limit
from kickai_providers_core.testing.contract.helpers.constants import GRACE_S, KEY, PROMPT_S, QUICK_S
from kickai_providers_core.testing.contract.helpers.harness import with_long_timeouts
from kickai_providers_core.testing.contract.helpers.parameters import format_id, in_each_mode
from kickai_providers_core.testing.contract.helpers.requirements import find_key_fields, require_key
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import FaultServer, Ok, Silence, Status
from kickai_providers_core.values.errors import Problem, ProviderError
from kickai_providers_core.values.secrets import Secret

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.testing.faults import Fault

__all__ = ["LifecycleTests"]

STILL_OPEN = "a connection to the service is still open after the provider was closed"


class LifecycleTests(ProviderSpec):
    """Providers are validated, created and closed as the plugin API says."""

    def test_good_settings_have_no_problems(self, harness: ProviderHarness) -> None:
        """The settings under test are usable."""
        problems = [problem for problem in _validate(harness, harness.settings) if problem.severity == "error"]
        assert not problems, "\n".join(["validation rejects the settings under test:", *map(str, problems)])

    def test_defaults_are_validated(self, harness: ProviderHarness) -> None:
        """Validating settings without any value returns problems and raises nothing."""
        _validate(harness, harness.info.settings_class())

    def test_a_missing_key_is_a_problem(self, harness: ProviderHarness) -> None:
        """Without its key the provider reports what is missing, and where to set it."""
        require_key(harness)
        if not self.needs_key:
            pytest.skip("not applicable: needs_key is False")
        fields = find_key_fields(harness)
        for empty in (None, Secret("")):
            bare = attrs.evolve(harness.settings, **dict.fromkeys(fields, empty))
            problems = [problem for problem in _validate(harness, bare) if problem.severity == "error"]
            assert any(problem.missing for problem in problems), (
                f"with {fields[0]}={empty!r} validation must return a Problem with `missing`, got {problems}"
            )
            assert {problem.path for problem in problems} & set(fields), (
                f"with {fields[0]}={empty!r} validation must return a Problem with path={fields[0]!r}, got {problems}"
            )

    def test_creating_ends_in_time(self, harness: ProviderHarness) -> None:
        """Creating a provider takes less than a second once the vendor's client is imported: a call waits for it."""
        if self.wire is not None:
            harness.server.default = Silence()
        outcome = run_with_limit("invoke", lambda: harness.create(harness.settings), PROMPT_S).within(QUICK_S)
        assert outcome.raised is None, f"kickai_create_provider raised {outcome.raised!r}"

    def test_validating_offline_ends_in_time(self, harness: ProviderHarness) -> None:
        """Offline validation takes less than a second: it runs before the first call."""
        if self.wire is not None:
            harness.server.default = Silence()
        outcome = run_with_limit("invoke", lambda: _validate(harness, harness.settings), PROMPT_S).within(QUICK_S)
        assert outcome.raised is None, f"kickai_validate_provider raised {outcome.raised!r}"

    @pytest.mark.parametrize("fault", [Ok(), Status(500, "unavailable"), Status(401, "auth"), Silence()], ids=format_id)
    def test_validating_online_ends_in_problems(self, harness: ProviderHarness, fault: Fault) -> None:
        """Online validation returns problems in time and raises nothing, whatever the service does."""
        harness.server.default = fault
        settings = attrs.evolve(
            harness.settings,
            timeout_s=self.patience_s,
            connect_timeout_s=self.patience_s,
            idle_timeout_s=self.patience_s,
        )
        limit_s = 10 * self.patience_s + GRACE_S  # validation may send several requests, one after the other
        outcome = run_with_limit("invoke", lambda: _validate(harness, settings, online=True), limit_s).within(limit_s)
        assert isinstance(outcome.value, list), f"kickai_validate_provider raised {outcome.raised!r}"

    @pytest.mark.parametrize("fault", [Ok(), Status(500, "unavailable")], ids=format_id)
    def test_preparing_yields_progress(self, harness: ProviderHarness, fault: Fault) -> None:
        """Preparing a model yields `Progress` or raises a `ProviderError`; it may have nothing to do."""
        if self.wire is not None:
            harness.server.default = fault

        def prepare() -> list[object]:
            return list(harness.hook.kickai_prepare_provider(settings=harness.settings, model=self.model) or ())

        outcome = run_with_limit("invoke", prepare, PROMPT_S)
        if outcome.raised is not None:
            outcome.raises(ProviderError)
        else:
            wrong = [step for step in outcome.value if not isinstance(step, Progress)]  # type: ignore[attr-defined]
            assert not wrong, f"kickai_prepare_provider must yield Progress values, got {wrong}"

    def test_instances_share_nothing(self, harness: ProviderHarness) -> None:
        """Two instances of one plugin each call their own service with their own key, in any order."""
        first, other_key = harness.server, Secret("canary-key-of-another")
        with FaultServer(first.wire, Ok("other")) as second:
            other = harness.create(with_long_timeouts(self.settings(second.url, other_key)))
            for provider, expected in ((harness.provider, "pong"), (other, "other"), (harness.provider, "pong")):
                text = harness.attempt("invoke", provider=provider, timeout_s=GRACE_S).text
                assert text == expected, f"expected {expected!r} from the instance's own service, got {text!r}"
            counts = (len(first.requests), len(second.requests))
            assert counts == (2, 1), f"expected 2 requests of the first service and 1 of the second, got {counts}"
            if find_key_fields(harness):
                sent = str(second.requests[0].headers)
                assert other_key.reveal() in sent, "the second instance did not send its own key"
                assert KEY.reveal() not in sent, "the second instance sent the key of the first"

    @in_each_mode
    def test_closing_frees_connections(self, harness: ProviderHarness, mode: Mode) -> None:
        """A provider that was used and then closed, from a thread without an event loop, has no open connection."""
        harness.attempt(mode).reply  # noqa: B018
        outcome = run_with_limit("invoke", harness.close, GRACE_S).within(GRACE_S)
        assert outcome.raised is None, f"closing raised {outcome.raised!r}"
        assert harness.server.wait_closed(GRACE_S), STILL_OPEN

    def test_aclosing_frees_connections(self, harness: ProviderHarness) -> None:
        """A provider that was used and closed on an event loop has no open connection, while that loop still runs."""
        server = harness.server

        async def use() -> bool:
            await harness.adapter.ainvoke(harness.provider, harness.request, PROMPT_S)
            await harness.adapter.aclose(harness.provider)
            return await asyncio.to_thread(server.wait_closed, GRACE_S)

        assert run_coroutine(use, 2 * PROMPT_S), STILL_OPEN

    def test_closing_twice_is_harmless(self, harness: ProviderHarness) -> None:
        """Closing a closed provider does nothing, with either hook."""
        harness.attempt("invoke").reply  # noqa: B018

        async def close() -> None:
            await harness.adapter.aclose(harness.provider)

        harness.close()
        try:
            harness.close()
            run_coroutine(close)
        except Exception as error:  # noqa: BLE001 - whatever it is, it says so
            pytest.fail(f"closing a closed provider raised {error!r}: closing again must do nothing")

    def test_closing_an_unused_provider_is_harmless(self, harness: ProviderHarness) -> None:
        """A provider that was never called can be closed."""
        harness.close(harness.create(harness.settings))


def _validate(harness: ProviderHarness, settings: ProviderSettings, *, online: bool = False) -> list[Problem]:
    problems = list(harness.hook.kickai_validate_provider(settings=settings, online=online) or ())
    wrong = [problem for problem in problems if not isinstance(problem, Problem)]
    assert not wrong, f"kickai_validate_provider must return Problem values, got {wrong}"
    return problems
