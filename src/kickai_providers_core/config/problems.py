"""What is found wrong with settings while they are read, in the end told together and in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from kickai_providers_core.config.wording import dotted
from kickai_providers_core.values.errors import Problem

if TYPE_CHECKING:
    from kickai_providers_core.config.faults import Fault
    from kickai_providers_core.config.layers import Layers
    from kickai_providers_core.config.wording import Path

__all__ = ["Findings"]


MOST_GUESSES = 200
"""For this many problems the nearest name is looked up; with more, nobody reads the rest."""


class Findings:
    """Collects problems during one reading of the settings; for one thread."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._problems: dict[Path, list[Problem]] = {}
        self._guesses = 0

    def add(
        self,
        path: Path,
        fault: Fault,
        *,
        severity: Literal["error", "warning"] = "error",
        missing: str = "",
        source: str | None = None,
    ) -> None:
        """Add what is wrong with the value at a path; its source is looked up when it is not given."""
        if not fault.message:
            return
        path = (*path, *fault.path)
        hint = fault.hint
        if not isinstance(hint, str):
            self._guesses += 1
            hint = hint() if self._guesses <= MOST_GUESSES else ""
        problem = Problem(
            path=dotted(path),
            message=fault.message,
            hint=hint,
            source=self._layers.source_of(path) if source is None else source,
            missing=missing,
            severity=severity,
        )
        self._problems.setdefault(path, []).append(problem)

    def errors(self) -> tuple[Problem, ...]:
        """Return what keeps the settings from being used, in the order in which they were written."""
        return tuple(problem for problem in self._in_order() if problem.severity == "error")

    def warnings(self) -> tuple[Problem, ...]:
        """Return what does not, in the same order."""
        return tuple(problem for problem in self._in_order() if problem.severity == "warning")

    def _in_order(self) -> list[Problem]:
        paths = sorted(self._problems, key=self._layers.position)
        return [problem for path in paths for problem in self._problems[path]]
