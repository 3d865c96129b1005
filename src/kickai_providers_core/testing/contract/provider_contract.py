"""The class of the standard tests."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from inspect import getattr_static
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.checks.broken_services import BrokenServiceTests
from kickai_providers_core.testing.contract.checks.cleanup import CleanupTests
from kickai_providers_core.testing.contract.checks.concurrency import ConcurrencyTests
from kickai_providers_core.testing.contract.checks.conversations import ConversationTests
from kickai_providers_core.testing.contract.checks.environment import EnvironmentTests
from kickai_providers_core.testing.contract.checks.error_classes import ErrorClassTests
from kickai_providers_core.testing.contract.checks.error_fields import ErrorFieldTests
from kickai_providers_core.testing.contract.checks.event_loops import EventLoopTests
from kickai_providers_core.testing.contract.checks.images import ImageTests
from kickai_providers_core.testing.contract.checks.lazy_loading import LazyLoadingTests
from kickai_providers_core.testing.contract.checks.lifecycle import LifecycleTests
from kickai_providers_core.testing.contract.checks.online_validation import OnlineValidationTests
from kickai_providers_core.testing.contract.checks.optional_hooks import OptionalHookTests
from kickai_providers_core.testing.contract.checks.plugin_info import PluginInfoTests
from kickai_providers_core.testing.contract.checks.process_state import ProcessStateTests
from kickai_providers_core.testing.contract.checks.readings import ReadingTests
from kickai_providers_core.testing.contract.checks.replies import ReplyTests
from kickai_providers_core.testing.contract.checks.requests import RequestTests
from kickai_providers_core.testing.contract.checks.sampling import SamplingTests
from kickai_providers_core.testing.contract.checks.secrets import SecretTests
from kickai_providers_core.testing.contract.checks.service_messages import ServiceMessageTests
from kickai_providers_core.testing.contract.checks.streams import StreamTests
from kickai_providers_core.testing.contract.checks.timeouts import TimeoutTests
from kickai_providers_core.testing.contract.checks.unusual_answers import UnusualAnswerTests
from kickai_providers_core.testing.contract.helpers.conformance import register
from kickai_providers_core.testing.contract.helpers.harness import PluginHooks, ProviderHarness

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ProviderContract", "standard_tests"]


class ProviderContract(
    PluginInfoTests,
    LazyLoadingTests,
    LifecycleTests,
    ReplyTests,
    UnusualAnswerTests,
    RequestTests,
    SamplingTests,
    ConversationTests,
    ImageTests,
    ReadingTests,
    ErrorClassTests,
    ErrorFieldTests,
    ServiceMessageTests,
    OnlineValidationTests,
    BrokenServiceTests,
    TimeoutTests,
    StreamTests,
    ConcurrencyTests,
    EventLoopTests,
    CleanupTests,
    SecretTests,
    EnvironmentTests,
    ProcessStateTests,
    OptionalHookTests,
):
    """The standard tests of a provider. Subclass it in a test module; see `ProviderSpec` for what a subclass gives.

    A standard test cannot be overridden or removed. Name a test that is known to fail in ``expected_failures``, with
    the reason.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _reject_overrides(cls)
        _reject_unknown_failures(cls)

    @classmethod
    @cache
    def hooks(cls) -> PluginHooks:
        """Return the plugin's hooks; the same for all tests of a class."""
        return PluginHooks.from_plugin(cls.plugin)

    @pytest.fixture
    def harness(self) -> Iterator[ProviderHarness]:
        """Create the provider and its service, and close both afterwards."""
        with ProviderHarness(self, self.hooks()) as harness:
            yield harness

    @pytest.fixture(autouse=True)
    def _expect_failures(self, request: pytest.FixtureRequest) -> None:
        register(request, standard_tests())
        for name in (request.node.name, request.node.originalname):
            reason = self.expected_failures.get(name)
            if reason is not None:
                request.applymarker(pytest.mark.xfail(strict=True, reason=reason))


def standard_tests() -> tuple[str, ...]:
    """Return the names of the standard tests."""
    return tuple(name for name in dir(ProviderContract) if name.startswith("test_"))


def _reject_overrides(kind: type[ProviderContract]) -> None:
    for name in ("harness", "hooks", "_expect_failures", *standard_tests()):
        if getattr_static(kind, name) is not getattr_static(ProviderContract, name):
            message = (
                f"{kind.__name__}.{name} must not be overridden or removed: "
                "if a standard test fails, name it in expected_failures with the reason"
            )
            raise TypeError(message)


def _reject_unknown_failures(kind: type[ProviderContract]) -> None:
    known = standard_tests()
    for name, reason in kind.expected_failures.items():
        if name.partition("[")[0] not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            message = f"{kind.__name__}.expected_failures: unknown test {name}{hint}"
            raise TypeError(message)
        if not reason.strip():
            message = f"{kind.__name__}.expected_failures: {name} has no reason; say why it fails"
            raise TypeError(message)
