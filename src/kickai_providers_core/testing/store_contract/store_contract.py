"""The class of the standard tests."""

from __future__ import annotations

from inspect import getattr_static
from typing import Any

import pytest

from kickai_providers_core.testing.store_contract.checks.compaction import CompactionTests
from kickai_providers_core.testing.store_contract.checks.documents import DocumentTests
from kickai_providers_core.testing.store_contract.checks.health import HealthTests
from kickai_providers_core.testing.store_contract.checks.leases import LeaseTests
from kickai_providers_core.testing.store_contract.checks.lifecycle import LifecycleTests
from kickai_providers_core.testing.store_contract.checks.metrics import MetricsTests
from kickai_providers_core.testing.store_contract.checks.processes import ProcessTests

__all__ = ["StoreContract"]


class StoreContract(
    LifecycleTests, MetricsTests, CompactionTests, DocumentTests, HealthTests, LeaseTests, ProcessTests
):
    """The standard tests of a store. Subclass it in a test module; see `StoreSpec` for what a subclass gives.

    A standard test cannot be overridden or removed. Name a test that is known to fail in ``expected_failures``, with
    the reason.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        tests = [name for name in dir(StoreContract) if name.startswith("test_")]
        for name in tests:
            if getattr_static(cls, name) is not getattr_static(StoreContract, name):
                message = (
                    f"{cls.__name__}.{name} must not be overridden or removed: "
                    "if a standard test fails, name it in expected_failures with the reason"
                )
                raise TypeError(message)
        for name, reason in cls.expected_failures.items():
            if name not in tests or not reason.strip():
                message = f"{cls.__name__}.expected_failures: {name} must be a standard test with a reason"
                raise TypeError(message)

    @pytest.fixture(autouse=True)
    def _expect_failures(self, request: pytest.FixtureRequest) -> None:
        reason = self.expected_failures.get(request.node.originalname)
        if reason is not None:
            request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
