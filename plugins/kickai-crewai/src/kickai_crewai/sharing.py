"""Notices an LLM that two agents of one crew share, whose tokens CrewAI would count twice."""

from __future__ import annotations

import warnings
from threading import Lock
from typing import Any
from weakref import ReferenceType, ref

__all__ = ["SharedLLMWarning", "Users"]


class SharedLLMWarning(UserWarning):
    """Two agents of one crew use the same `KickaiLLM`, so that the crew's token usage counts its tokens twice."""


class Users:
    """The agents that use one LLM. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._first: ReferenceType[Any] | None = None
        self._has_warned = False

    def add(self, agent: Any) -> None:
        """Note that an agent uses the LLM, and warn once when another agent of its crew does too.

        The usage of a crew is the sum over its agents of what their LLMs have counted. Agents of different crews may
        share one: CrewAI copies agents together with their LLM.
        """
        with self._lock:
            first = None if self._first is None else self._first()
            if first is None:
                self._first = ref(agent)
                return
            crew = getattr(agent, "crew", None)
            if self._has_warned or first is agent or crew is None or crew is not getattr(first, "crew", None):
                return
            self._has_warned = True
        warnings.warn(
            f"the agents {first.role!r} and {agent.role!r} share one KickaiLLM, and CrewAI counts its tokens once for "
            "each of them: create a KickaiLLM for each agent",
            SharedLLMWarning,
            stacklevel=2,
        )
