"""Problems of settings: violations found while a value is structured, and the list that they end in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from kickai_providers_core.config.descriptions import format_path
from kickai_providers_core.values.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.config.descriptions import Path
    from kickai_providers_core.config.layers import Layers

__all__ = ["ProblemList", "StructuringError", "Violation"]

MAX_SUGGESTIONS = 200
"""The most problems of one reading for which the nearest name is looked up."""


@frozen
class Violation:
    """What is wrong with one value.

    Attributes:
        path: Its path, relative to the value that is structured.
        message: What is wrong, such as ``must be an integer, got 'x'``; empty when another violation covers it.
        hint: What to do about it, or a function that finds that out; may be empty.
    """

    path: Path
    message: str
    hint: str | Callable[[], str] = ""

    @classmethod
    def from_message(cls, message: str, hint: str | Callable[[], str] = "") -> Violation:
        """Return the violation of the value as a whole."""
        return cls((), message, hint)

    @classmethod
    def from_mismatch(cls, expected: str, got: str) -> Violation:
        """Return the violation of a value that is not what its setting accepts."""
        return cls((), f"must be {expected}, got {got}")

    def prepend_keys(self, *keys: str | int) -> Violation:
        """Return the same violation, relative to the value that contains this one under the keys."""
        return evolve(self, path=(*keys, *self.path))


class StructuringError(Exception):
    """Values that cannot be structured; it never leaves this package.

    Attributes:
        violations: Every violation, with its path.
    """

    def __init__(self, *violations: Violation) -> None:
        super().__init__(*violations)
        self.violations = violations

    def prepend_key(self, key: str | int) -> list[Violation]:
        """Return the violations relative to the value that contains this one under a key."""
        return [violation.prepend_keys(key) for violation in self.violations]


class ProblemList:
    """Collects the problems of one reading of the settings; for one thread."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._problems: dict[Path, list[Problem]] = {}
        self._suggestions = 0

    def add(
        self,
        path: Path,
        violation: Violation,
        *,
        severity: Literal["error", "warning"] = "error",
        missing: str = "",
        source: str | None = None,
    ) -> None:
        """Add the violation of the value at a path; its source is looked up when it is not given."""
        if not violation.message:
            return
        path = (*path, *violation.path)
        hint = violation.hint
        if not isinstance(hint, str):
            self._suggestions += 1
            hint = hint() if self._suggestions <= MAX_SUGGESTIONS else ""
        problem = Problem(
            path=format_path(path),
            message=violation.message,
            hint=hint,
            source=self._layers.get_source(path) if source is None else source,
            missing=missing,
            severity=severity,
        )
        self._problems.setdefault(path, []).append(problem)

    def list_errors(self) -> tuple[Problem, ...]:
        """Return the problems that make the settings unusable, in the order of the file."""
        return tuple(problem for problem in self._sort() if problem.severity == "error")

    def list_warnings(self) -> tuple[Problem, ...]:
        """Return the other problems, in the same order."""
        return tuple(problem for problem in self._sort() if problem.severity == "warning")

    def _sort(self) -> list[Problem]:
        paths = sorted(self._problems, key=self._layers.get_position)
        return [problem for path in paths for problem in self._problems[path]]
