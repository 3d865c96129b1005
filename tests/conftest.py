"""What all tests share."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from effort import count_examples
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Generator

# An example that takes long says something about the machine, not about the code.
settings.register_profile("project", deadline=None, max_examples=count_examples(100))
settings.load_profile("project")

# A shell that starts the tests in the background has them ignore Ctrl-C, which some of them send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def reject_skips(report: Any) -> Any:
    """Turn a skipped test into a failed one where all that the tests need is installed (``KICKAI_NEEDS_PLUGINS``)."""
    if "KICKAI_NEEDS_PLUGINS" in os.environ and report.outcome == "skipped":
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Apply it to tests."""
    return reject_skips((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Apply it to modules."""
    return reject_skips((yield))
