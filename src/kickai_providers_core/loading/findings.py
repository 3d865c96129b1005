"""What is found wrong with settings while they are read, in the end told together and in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from kickai_providers_core.errors import Problem
from kickai_providers_core.loading.wording import dotted

if TYPE_CHECKING:
    from kickai_providers_core.loading.layers import Layers
    from kickai_providers_core.loading.misfit import Fault
    from kickai_providers_core.loading.wording import Path

__all__ = ["Findings"]


class Findings:
    """Collects problems during one reading of the settings; for one thread."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._problems: dict[Path, list[Problem]] = {}

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
        path = (*path, *fault.path)
        problem = Problem(
            path=dotted(path),
            message=fault.message,
            hint=fault.hint,
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
        written = [*self._layers.sources]

        def position(path: Path) -> int:
            alike = (
                at for at, other in enumerate(written) if other == path[: len(other)] or path == other[: len(path)]
            )
            return next(alike, len(written))

        return [problem for path in sorted(self._problems, key=position) for problem in self._problems[path]]
