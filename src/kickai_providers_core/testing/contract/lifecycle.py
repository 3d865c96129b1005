"""Validation, creation and closing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from kickai_providers_core.plugin_api.hookspecs import Progress
from kickai_providers_core.testing.contract.calling import run, timed
from kickai_providers_core.testing.contract.givens import GRACE_S, KEY, MODES, PROMPT_S, QUICK_S, id_of
from kickai_providers_core.testing.contract.needs import fields_with_key, need_key
from kickai_providers_core.testing.contract.subject import patient
from kickai_providers_core.testing.contract.supplied import Supplied
from kickai_providers_core.testing.faults import FaultServer, Ok, Silence, Status
from kickai_providers_core.values.errors import Problem, ProviderError
from kickai_providers_core.values.secrets import Secret

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.testing.contract.subject import Subject
    from kickai_providers_core.testing.faults import Fault

__all__ = ["Lifecycle"]


class Lifecycle(Supplied):
    """Providers are validated, created and closed as the seam says."""

    def test_good_settings_have_no_problems(self, subject: Subject) -> None:
        """The settings under test are usable."""
        problems = [problem for problem in _problems(subject, subject.settings) if problem.severity == "error"]
        assert not problems, "\n".join(map(str, problems))

    def test_defaults_are_validated(self, subject: Subject) -> None:
        """Settings with nothing filled in are validated like any others, with problems rather than exceptions."""
        _problems(subject, subject.info.settings_class())

    def test_a_missing_key_is_a_problem(self, subject: Subject) -> None:
        """Without its key the provider says what is missing, and where it would come from."""
        need_key(subject)
        if not self.needs_key:
            pytest.skip("not applicable: the provider works without a key")
        fields = fields_with_key(subject)
        for empty in (None, Secret("")):
            bare = attrs.evolve(subject.settings, **dict.fromkeys(fields, empty))
            problems = [problem for problem in _problems(subject, bare) if problem.severity == "error"]
            assert any(problem.missing for problem in problems), f"no problem says what is missing ({empty!r} as key)"
            assert {problem.path for problem in problems} & set(fields), f"no problem has the path {fields[0]!r}"

    def test_creating_ends_in_time(self, subject: Subject) -> None:
        """Creating a provider takes under a second once the vendor's client is imported: a call waits for it."""
        if self.wire is not None:
            subject.server.default = Silence()
        outcome = timed("invoke", lambda: subject.create(subject.settings), PROMPT_S).within(QUICK_S)
        assert outcome.raised is None, repr(outcome.raised)

    def test_validating_offline_ends_in_time(self, subject: Subject) -> None:
        """Offline validation takes under a second: it runs before the first call."""
        if self.wire is not None:
            subject.server.default = Silence()
        outcome = timed("invoke", lambda: _problems(subject, subject.settings), PROMPT_S).within(QUICK_S)
        assert outcome.raised is None, repr(outcome.raised)

    @pytest.mark.parametrize("fault", [Ok(), Status(500, "unavailable"), Status(401, "auth"), Silence()], ids=id_of)
    def test_validating_online_ends_in_problems(self, subject: Subject, fault: Fault) -> None:
        """Whatever the service does, online validation returns problems, in time, and does not raise."""
        subject.server.default = fault
        hasty = attrs.evolve(
            subject.settings,
            timeout_s=self.patience_s,
            connect_timeout_s=self.patience_s,
            idle_timeout_s=self.patience_s,
        )
        # It may ask several things, one after the other, and each may take its time.
        outcome = timed("invoke", lambda: _problems(subject, hasty, online=True), 10 * self.patience_s + GRACE_S)
        assert isinstance(outcome.within(10 * self.patience_s + GRACE_S).value, list), repr(outcome.raised)

    @pytest.mark.parametrize("fault", [Ok(), Status(500, "unavailable")], ids=id_of)
    def test_preparing_tells_how_far_it_is(self, subject: Subject, fault: Fault) -> None:
        """Making a model ready is told as progress, or ends in a typed error; there may be nothing to do."""
        if self.wire is not None:
            subject.server.default = fault
        hook = subject.hook.kickai_prepare_provider
        outcome = timed("invoke", lambda: list(hook(settings=subject.settings, model=self.model) or ()), PROMPT_S)
        if outcome.raised is not None:
            outcome.raises(ProviderError)
        else:
            assert all(isinstance(step, Progress) for step in outcome.value)  # type: ignore[attr-defined]

    def test_instances_share_nothing(self, subject: Subject) -> None:
        """Two instances of one plugin each ask their own service with their own key, in any order."""
        first, other_key = subject.server, Secret("canary-key-of-another")
        with FaultServer(first.wire, Ok("other")) as second:
            other = subject.create(patient(self.settings(second.url, other_key)))
            for provider, text in ((subject.provider, "pong"), (other, "other"), (subject.provider, "pong")):
                ask = _asking(subject, provider)
                assert timed("invoke", ask, GRACE_S).text == text
            assert (len(first.requests), len(second.requests)) == (2, 1)
            if fields_with_key(subject):
                assert other_key.reveal() in str(second.requests[0].headers), "the second instance's key was not sent"
                assert KEY.reveal() not in str(second.requests[0].headers), (
                    "the first instance's key went to the second"
                )

    @pytest.mark.parametrize("mode", MODES)
    def test_closing_frees_connections(self, subject: Subject, mode: str) -> None:
        """A provider that was used and closed, from a thread without a loop, holds no connection."""
        subject.attempt(mode).reply  # type: ignore[arg-type]  # noqa: B018
        outcome = timed("invoke", lambda: subject.hook.kickai_close_provider(provider=subject.provider), GRACE_S)
        assert outcome.within(GRACE_S).raised is None, repr(outcome.raised)
        assert subject.server.wait_closed(GRACE_S), "a connection is open after closing"

    def test_aclosing_frees_connections(self, subject: Subject) -> None:
        """A provider that was used on a loop and closed there holds no connection."""

        async def use() -> None:
            await subject.seam.ainvoke(subject.provider, subject.request, PROMPT_S)
            await subject.seam.aclose(subject.provider)

        run(use, 2 * PROMPT_S)
        assert subject.server.wait_closed(GRACE_S), "a connection is open after closing"

    def test_closing_twice_is_harmless(self, subject: Subject) -> None:
        """Closing again does nothing, in whichever way."""
        subject.attempt("invoke").reply  # noqa: B018

        async def close() -> None:
            await subject.seam.aclose(subject.provider)

        subject.hook.kickai_close_provider(provider=subject.provider)
        subject.hook.kickai_close_provider(provider=subject.provider)
        run(close)

    def test_closing_an_unused_provider_is_harmless(self, subject: Subject) -> None:
        """A provider may be closed that was never called."""
        subject.hook.kickai_close_provider(provider=subject.create(subject.settings))


def _problems(subject: Subject, settings: ProviderSettings, *, online: bool = False) -> list[Problem]:
    problems = list(subject.hook.kickai_validate_provider(settings=settings, online=online) or ())
    strange = [problem for problem in problems if not isinstance(problem, Problem)]
    assert not strange, f"not a Problem: {strange}"
    return problems


def _asking(subject: Subject, provider: object) -> Any:
    hook = subject.hook.kickai_invoke_provider
    return lambda: hook(provider=provider, request=subject.request, timeout_s=GRACE_S)
