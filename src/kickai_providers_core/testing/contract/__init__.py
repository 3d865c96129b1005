"""The conformance tests: what every provider does, whatever its service is.

Subclass `ProviderContract` in a test module, say what the provider is and how its service speaks, and pytest
collects the tests. They use no plugin of pytest's and no event loop but their own.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from inspect import getattr_static
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.answers import Answers
from kickai_providers_core.testing.contract.asking import Asking
from kickai_providers_core.testing.contract.breakage import Breakage
from kickai_providers_core.testing.contract.described import Described
from kickai_providers_core.testing.contract.freeing import Freeing
from kickai_providers_core.testing.contract.givens import KEY, PROMPT
from kickai_providers_core.testing.contract.lazy import Lazy
from kickai_providers_core.testing.contract.lifecycle import Lifecycle
from kickai_providers_core.testing.contract.observing import Observing
from kickai_providers_core.testing.contract.refusals import Particulars, Refusals
from kickai_providers_core.testing.contract.secrecy import Secrecy
from kickai_providers_core.testing.contract.sharing import Sharing
from kickai_providers_core.testing.contract.streaming import Streaming
from kickai_providers_core.testing.contract.subject import Hooks, Subject
from kickai_providers_core.testing.contract.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KEY", "PROMPT", "ProviderContract", "standard_tests"]


class ProviderContract(
    Described,
    Lazy,
    Lifecycle,
    Answers,
    Asking,
    Refusals,
    Particulars,
    Breakage,
    Timeouts,
    Streaming,
    Sharing,
    Freeing,
    Secrecy,
    Observing,
):
    """The standard tests of a provider. See `Supplied` for what a subclass gives.

    A standard test cannot be overridden or taken away; one that is known to fail is named, with the reason, in
    ``expected_failures``.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _refuse_changes(cls)
        _refuse_misnomers(cls)

    @classmethod
    @cache
    def hooks(cls) -> Hooks:
        """Return the plugin's hooks, taken as discovery takes them, once for all tests of a class."""
        return Hooks.of(cls.plugin)

    @pytest.fixture
    def subject(self) -> Iterator[Subject]:
        """Create the provider and its service, and close both afterwards."""
        with Subject(self, self.hooks()) as subject:
            yield subject

    @pytest.fixture(autouse=True)
    def _expect_failures(self, request: pytest.FixtureRequest) -> None:
        for name in (request.node.name, request.node.originalname):
            reason = self.expected_failures.get(name)
            if reason is not None:
                request.applymarker(pytest.mark.xfail(strict=True, reason=reason))


def standard_tests() -> tuple[str, ...]:
    """Return the names of the standard tests."""
    return tuple(name for name in dir(ProviderContract) if name.startswith("test_"))


def _refuse_changes(kind: type[ProviderContract]) -> None:
    for name in ("subject", "hooks", "_expect_failures", *standard_tests()):
        if getattr_static(kind, name) is not getattr_static(ProviderContract, name):
            told = (
                f"{kind.__name__}.{name}: a standard test, or what it stands on, cannot be overridden or taken away; "
                "name a test in expected_failures, with the reason why it fails"
            )
            raise TypeError(told)


def _refuse_misnomers(kind: type[ProviderContract]) -> None:
    known = standard_tests()
    for name, reason in kind.expected_failures.items():
        if name.partition("[")[0] not in known:
            near = get_close_matches(name, known, 1)
            told = f"{kind.__name__}.expected_failures: there is no test {name}"
            raise TypeError(f"{told}; did you mean {near[0]}?" if near else told)
        if not reason.strip():
            told = f"{kind.__name__}.expected_failures: {name} has no reason"
            raise TypeError(told)
