"""The result of a run of the kit: one line for each provider, and a file for the badge of a README."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field

from kickai_providers_core.plugin_api.hookspecs import API_VERSION
from kickai_providers_core.testing.contract.helpers.constants import KIT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pytest

__all__ = ["BADGE_VARIABLE", "Conformance", "ConformanceReport", "register"]

BADGE_VARIABLE = "KICKAI_KIT_BADGE"
"""The environment variable with the path of the file for a badge, in the form of shields.io's endpoint."""

PLUGIN_NAME = "kickai-conformance"


@define
class Conformance:
    """The results of one test class.

    Attributes:
        counts: How many tests passed, failed, were skipped, or failed as expected.
        names: The standard tests with a result.
    """

    counts: Counter[str] = field(factory=Counter, converter=Counter)
    names: set[str] = field(factory=set, converter=set)

    def describe(self, standard: Iterable[str]) -> str:
        """Return the result as one line; empty when not all standard tests ran."""
        if set(standard) - self.names:
            return ""
        passed, failed, expected = (self.counts[name] for name in ("passed", "failed", "expected"))
        kit = f"kit {KIT_VERSION}"
        if failed:
            return f"does not conform to plugin API {API_VERSION}: {failed} of {passed + failed} tests failed, {kit}"
        known = f", {expected} expected to fail" if expected else ""
        return f"conforms to plugin API {API_VERSION}: {passed} tests{known}, {kit}"

    def add(self, other: Conformance) -> None:
        """Add the results of another process."""
        self.counts += other.counts
        self.names |= other.names


class ConformanceReport:
    """A pytest plugin that gathers the results of the standard tests and reports them at the end of the run.

    The processes of pytest-xdist each run some of the tests. Each writes its results to the run's folder of temporary
    files, and the last one reports.

    Args:
        config: Of the run.
        standard: The names of the standard tests.
    """

    def __init__(self, config: pytest.Config, standard: Iterable[str]) -> None:
        self._config = config
        self._standard = frozenset(standard)
        self._classes: dict[str, Conformance] = {}
        self._is_done = False

    def add_class(self, name: str) -> None:
        """Report the results of a test class."""
        self._classes.setdefault(name, Conformance())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the result of one test."""
        path, _, test = report.nodeid.rpartition("::")
        name = test.partition("[")[0]
        found = self._classes.get(path.rpartition("::")[2])
        if found is None or name not in self._standard:
            return
        if report.failed:
            found.counts["failed"] += 1
        elif report.skipped and report.when != "teardown":
            found.counts["expected" if hasattr(report, "wasxfail") else "skipped"] += 1
        elif report.passed and report.when == "call":
            found.counts["passed"] += 1
        found.names.add(name)

    def pytest_sessionfinish(self) -> None:
        """Pass the results of this process on, or report them all in the last process."""
        worker = os.environ.get("PYTEST_XDIST_WORKER")
        if worker is None:
            return
        results = _merge(self._config, worker, self._classes)
        if results is not None:
            self._write_badge(results)
            self._print(self._format_lines(results))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Report the results of a run in one process."""
        self._write_badge(self._classes)
        for line in self._format_lines(self._classes):
            terminalreporter.write_line(line)

    def _format_lines(self, results: Mapping[str, Conformance]) -> list[str]:
        found = {name: result.describe(self._standard) for name, result in results.items()}
        return [f"{name} {line}" for name, line in found.items() if line]

    def _print(self, lines: list[str]) -> None:
        """Print lines from a process whose standard output belongs to pytest-xdist."""
        capture = self._config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.suspend_global_capture(in_=True)
        for line in lines:
            os.write(2, f"\n{line}\n".encode())
        if capture is not None:
            capture.resume_global_capture()

    def _write_badge(self, results: Mapping[str, Conformance]) -> None:
        path = os.environ.get(BADGE_VARIABLE)
        if not path:
            return
        whole = Conformance()
        whole.names |= self._standard
        for result in results.values():
            if not result.describe(self._standard):
                return  # a part of the tests proves nothing
            whole.add(result)
        line = whole.describe(self._standard)
        verb, _, message = line.partition(" to plugin API ")
        badge = {
            "schemaVersion": 1,
            "label": "kickai",
            "message": f"{verb} to plugin API {message}",
            "color": "red" if whole.counts["failed"] else "brightgreen",
        }
        Path(path).write_text(json.dumps(badge) + "\n", encoding="utf-8")


def register(request: pytest.FixtureRequest, standard: Iterable[str]) -> None:
    """Report the results of the class of a test at the end of the run."""
    manager = request.config.pluginmanager
    report = manager.getplugin(PLUGIN_NAME)
    if report is None:
        report = ConformanceReport(request.config, standard)
        manager.register(report, PLUGIN_NAME)
    report.add_class(request.cls.__name__)


def _merge(config: pytest.Config, worker: str, classes: Mapping[str, Conformance]) -> dict[str, Conformance] | None:
    """Write the results of one process; return those of all processes in the last one, otherwise None."""
    factory: Any = getattr(config, "_tmp_path_factory", None)
    if factory is None:  # pragma: no cover - pytest's plugin tmpdir is off
        return None
    folder: Path = factory.getbasetemp().parent
    parts = {name: [dict(result.counts), sorted(result.names)] for name, result in classes.items()}
    draft = folder / f"conformance-{worker}.part"
    draft.write_text(json.dumps(parts), encoding="utf-8")
    draft.rename(folder / f"conformance-{worker}.json")
    found = sorted(folder.glob("conformance-*.json"))
    if len(found) < int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
        return None
    try:
        (folder / "conformance").mkdir()
    except FileExistsError:  # another process reports
        return None
    results: dict[str, Conformance] = {}
    for path in found:
        for name, (counts, names) in json.loads(path.read_text(encoding="utf-8")).items():
            results.setdefault(name, Conformance()).add(Conformance(counts=counts, names=names))
    return results
