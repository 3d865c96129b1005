"""The conformance tests: what every provider does, whatever its service is.

Subclass `ProviderContract` in a test module, say what the provider is and how its service speaks, and pytest
collects the tests. They use no plugin of pytest's and no event loop but their own.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.answers import Answers
from kickai_providers_core.testing.contract.asking import Asking
from kickai_providers_core.testing.contract.breakage import Breakage
from kickai_providers_core.testing.contract.described import Described
from kickai_providers_core.testing.contract.freeing import Freeing
from kickai_providers_core.testing.contract.lazy import Lazy
from kickai_providers_core.testing.contract.lifecycle import Lifecycle
from kickai_providers_core.testing.contract.refusals import Particulars, Refusals
from kickai_providers_core.testing.contract.secrecy import Secrecy
from kickai_providers_core.testing.contract.sharing import Sharing
from kickai_providers_core.testing.contract.streaming import Streaming
from kickai_providers_core.testing.contract.subject import KEY, PROMPT, Hooks, Subject
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
):
    """The standard tests of a provider. See `Supplied` for what a subclass gives.

    A standard test cannot be overridden or taken away; one that is known to fail is named, with the reason, in
    ``expected_failures``.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in standard_tests():
            if getattr(cls, name, None) is not getattr(ProviderContract, name):
                told = (
                    f"{cls.__name__}.{name}: a standard test cannot be overridden or taken away; "
                    f"name it in expected_failures, with the reason why it fails"
                )
                raise TypeError(told)
        for name, reason in cls.expected_failures.items():
            known = standard_tests()
            if name.partition("[")[0] not in known:
                near = get_close_matches(name, known, 1)
                told = f"{cls.__name__}.expected_failures: there is no test {name}"
                raise TypeError(f"{told}; did you mean {near[0]}?" if near else told)
            if not reason.strip():
                told = f"{cls.__name__}.expected_failures: {name} has no reason"
                raise TypeError(told)

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
