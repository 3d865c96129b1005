"""The error of a call that CrewAI's agent loop passes on instead of repeating the call."""

from __future__ import annotations

from typing import ClassVar

from crewai.hooks.dispatch import HookAborted
from crewai.utilities.agent_utils import is_context_length_exceeded, is_native_tool_calling_unsupported_error
from kickai_providers_core import KickaiError

__all__ = ["KickaiCallError"]

SOURCE = "kickai-crewai"
"""The origin that CrewAI shows for the error."""


class KickaiCallError(KickaiError, HookAborted):
    """One call of a `KickaiLLM` failed: no target of its chain answered, or the request was refused.

    It reaches the caller of ``crew.kickoff()`` as it is. An ordinary exception would not: CrewAI repeats a task up to
    three times, and a rate-limited call three times within each, although the chain has already tried every target.
    CrewAI passes on a `HookAborted` at once, since it means that somebody stopped the task deliberately.

    CrewAI also reads the text of errors: some words make it summarize the conversation or give up native tools, and it
    may then report a task as done that never got an answer. The text of this error contains none of those words.

    Attributes:
        failure: What the chain raised: a `KickaiError`, with the trace of the request, or a `RuntimeError` when the
            resolver is closed. It is also the ``__cause__``.
        reason: The text of the error, for CrewAI.
        source: ``kickai-crewai``, for CrewAI.
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("failure",)

    def __init__(self, reason: str, *, failure: Exception) -> None:
        super().__init__(reason)
        self.reason = reason
        self.source = SOURCE
        self.failure = failure

    @classmethod
    def from_failure(cls, failure: Exception) -> KickaiCallError:
        """Return the error for what a chain raised."""
        error = cls(f"{type(failure).__name__}: {failure}", failure=failure)
        error.__cause__ = failure
        if is_context_length_exceeded(error) or is_native_tool_calling_unsupported_error(error):
            attempts = getattr(failure, "attempts", ())
            text = f"{type(failure).__name__} after {len(attempts)} attempts: its words are in the attribute failure"
            return cls(text, failure=failure)
        return error
