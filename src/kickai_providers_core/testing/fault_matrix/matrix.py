"""The pytest class that runs a fault matrix."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

import pytest

from kickai_providers_core.testing.contract.helpers.calls import wait_until
from kickai_providers_core.testing.contract.helpers.harness import PluginHooks
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.fault_matrix.cells import MatrixCell
from kickai_providers_core.testing.fault_matrix.checks import find_cell_problems, is_late
from kickai_providers_core.testing.fault_matrix.document import render_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.fault_matrix.rows import FaultRow

__all__ = ["FaultMatrix"]

ATTEMPTS = 3
"""A call that ends too late is repeated this often: a busy machine delays some calls, a wrong provider delays all."""

INTRODUCTION = """\
# Faults and errors

For each fault of the service, the error that the provider raises. The tests cause every fault on a real socket, in
each mode in which it can happen: {faults} faults, {cells} cells. In each cell

* the call makes one request, or none when the service cannot be reached;
* when a timeout expires, the call ends at most 0.25 s later and its connection is closed;
* the next call of the same provider is answered;
* after the provider is closed, no connection, task or thread is left.
"""


class FaultMatrix(ProviderSpec):
    """Tests every row in all its modes. Subclass it in a test module; see also `ProviderSpec`.

    Attributes:
        rows: The rows by the heading of their section in the document.
        document: The page that holds the table; None for a matrix without a page.
        introduction: The text above the table, see `render_document`.
        patience_s: The timeout of the rows in which one expires.
        slack_s: How much later than its timeout a call may end.
        within_s: How long a call may take when no timeout expires.
    """

    rows: ClassVar[Mapping[str, Sequence[FaultRow]]] = {}
    document: ClassVar[Path | None] = None
    introduction: ClassVar[str] = INTRODUCTION
    slack_s: ClassVar[float] = 0.25
    within_s: ClassVar[float] = 10.0

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test of each row."""
        if "row" in metafunc.fixturenames:
            rows = [row for section in self.rows.values() for row in section]
            metafunc.parametrize("row", rows, ids=[row.name.replace(" ", "-") for row in rows])

    def test_fault_raises_the_expected_error(self, row: FaultRow) -> None:
        """In each mode the call raises the row's error in time, leaves nothing, and the next call is answered."""
        hooks = PluginHooks.from_plugin(self.plugin)
        before = set(threading.enumerate())
        with ThreadPoolExecutor(len(row.modes)) as pool:
            problems = [
                problem for found in pool.map(lambda mode: self._test(hooks, row, mode), row.modes) for problem in found
            ]
        if not wait_until(lambda: not set(threading.enumerate()) - before):
            left = [thread.name for thread in set(threading.enumerate()) - before]
            problems.append(f"threads left after the provider was closed: {', '.join(left)}")
        assert not problems, "\n".join([f"fault {row.name!r}:", *problems])

    def test_document_is_up_to_date(self) -> None:
        """The page holds what the rows say."""
        if self.document is None:
            pytest.skip("not applicable: the fault matrix has no document")
        text = self.document.read_text(encoding="utf-8") if self.document.is_file() else ""
        assert text == self.render_document(), (
            f"{self.document} is out of date: write it with {type(self).__name__}.write_document()"
        )

    @classmethod
    def render_document(cls) -> str:
        """Return the text of the page."""
        return render_document(cls.introduction, cls.rows)

    @classmethod
    def write_document(cls) -> None:
        """Write the page."""
        if cls.document is None:
            message = f"{cls.__name__}.document is missing: set it to the path of the page"
            raise TypeError(message)
        cls.document.write_text(cls.render_document(), encoding="utf-8")

    def _test(self, hooks: PluginHooks, row: FaultRow, mode: Mode) -> list[str]:
        limit_s = self.patience_s + self.slack_s if row.expires else row.within_s or self.within_s
        cell = MatrixCell(self, hooks, row, mode)
        try:
            for _ in range(ATTEMPTS):
                result = cell.run(limit_s)
                if not is_late(result, limit_s):
                    break
        except TimeoutError:
            return [f"{mode}: the provider did not return, expected an error within {limit_s:.2f} s"]
        return find_cell_problems(row, mode, result, limit_s)
