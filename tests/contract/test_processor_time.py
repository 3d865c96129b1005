"""The time in which a thread waits for a processor is told apart from the time in which its code runs or sleeps."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kickai_providers_core.testing.contract.helpers.processor_time import SCHEDSTAT, read_processor_wait_s


def test_the_second_number_counts(tmp_path: Path) -> None:
    """It is in nanoseconds."""
    path = tmp_path / "schedstat"
    path.write_text("42737014 711244000 28\n")
    assert read_processor_wait_s(path) == pytest.approx(0.711244)


@pytest.mark.parametrize("text", [None, "", "42", "a b c"])
def test_an_unknown_wait_is_none(tmp_path: Path, text: str | None) -> None:
    """As on other systems, which have no such file."""
    path = tmp_path / "schedstat"
    if text is not None:
        path.write_text(text)
    assert read_processor_wait_s(path) == 0


@pytest.mark.skipif(not SCHEDSTAT.exists(), reason="only Linux says how long a thread waited")
def test_sleeping_is_no_wait_for_a_processor() -> None:
    """Code that blocks is not excused, however busy the machine is."""
    began, waited = time.perf_counter(), read_processor_wait_s()
    time.sleep(0.05)
    assert time.perf_counter() - began - (read_processor_wait_s() - waited) >= 0.05
