"""What must be true of a cell of a fault matrix; each problem is a sentence for the plugin's author."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.testing.contract.helpers.constants import PROMPT
from kickai_providers_core.testing.contract.helpers.leaks import find_key_leaks
from kickai_providers_core.testing.faults import Unreachable
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.outcome import CallOutcome
    from kickai_providers_core.testing.fault_matrix.cells import CellResult
    from kickai_providers_core.testing.fault_matrix.rows import FaultRow

__all__ = ["find_cell_problems", "is_late"]


def is_late(result: CellResult, limit_s: float) -> bool:
    """Return whether the call, or closing its connection, took too long."""
    return result.outcome.elapsed_s > limit_s or not result.is_closed


def find_cell_problems(row: FaultRow, mode: Mode, result: CellResult, limit_s: float) -> list[str]:
    """Return what is wrong in a cell; empty when nothing is."""
    return [
        f"{mode}: {problem}"
        for problem in (*_find_error_problems(row, mode, result), *_find_call_problems(row, result, limit_s))
    ]


def _find_error_problems(row: FaultRow, mode: Mode, result: CellResult) -> Iterator[str]:
    error, expected = result.outcome.raised, row.get_error(mode)
    if error is None:
        yield f"expected {expected.__name__}, got {_describe_success(result.outcome)}"
        return
    if type(error) is not expected or not isinstance(error, ProviderError):
        yield f"expected {expected.__name__}, got {type(error).__name__}: {error}"
        return
    message = error.message.replace(result.url, "URL")
    if row.get_message(mode) not in {"", message}:
        yield f"expected the message {row.get_message(mode)!r}, got {message!r}"
    usual = {"phase": row.phase, "reached": row.reached}
    wanted = {name: value for name, value in usual.items() if hasattr(error, name)}
    for name, value in {**wanted, "status_code": row.status_code, **row.fields}.items():
        if getattr(error, name, None) != value:
            yield f"expected {name}={value!r}, got {getattr(error, name, None)!r}"
    if not _is_delay(row.retry_after_s, error.retry_after_s):
        yield f"expected retry_after_s={row.retry_after_s!r}, got {error.retry_after_s!r}"
    yield from _find_leaks(error)


def _is_delay(expected: float | tuple[float, float] | None, delay_s: float | None) -> bool:
    if expected is None or delay_s is None:
        return expected == delay_s
    if isinstance(expected, tuple):
        return expected[0] <= delay_s <= expected[1]
    return bool(delay_s == pytest.approx(expected))


def _find_leaks(error: ProviderError) -> Iterator[str]:
    for part, text in {"message": str(error), "repr": repr(error), "fields": repr(vars(error))}.items():
        if PROMPT in text:
            yield f"the error's {part} contains the prompt"
    for part in find_key_leaks(error):
        yield f"the error's {part} contains the key"


def _find_call_problems(row: FaultRow, result: CellResult, limit_s: float) -> Iterator[str]:
    if result.outcome.elapsed_s > limit_s:
        yield f"the call took {result.outcome.elapsed_s:.2f} s, expected at most {limit_s:.2f} s"
    if not result.is_closed:
        yield "the connection was still open after the timeout: close it when the call ends"
    if result.requests != (expected := 0 if isinstance(row.fault, Unreachable) else 1):
        yield f"the call made {result.requests} requests, expected {expected}: the core retries, not the plugin"
    if (error := result.next_outcome.raised) is not None:
        yield f"the next call of the same provider raised {type(error).__name__}: {error}"
    elif (text := result.next_outcome.text) != "pong":
        yield f"the next call of the same provider returned {text!r}, expected 'pong'"
    if result.open_connections:
        yield f"connections still open after the provider was closed: {result.open_connections}"
    if result.tasks:
        yield f"tasks left on the event loop: {', '.join(result.tasks)}"


def _describe_success(outcome: CallOutcome) -> str:
    return f"{len(outcome.chunks)} chunks" if outcome.chunks else repr(outcome.value)
