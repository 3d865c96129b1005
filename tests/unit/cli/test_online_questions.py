"""How the answer of one provider, or its failure, is shown."""

from __future__ import annotations

import pytest

from kickai_providers_core import (
    AuthenticationError,
    ChainExhaustedError,
    DeadlineExceededError,
    KickaiError,
    Skip,
    SkipReason,
    Target,
    Usage,
)
from kickai_providers_core.cli.online_questions import Question, QuestionResult

PASSED = str(DeadlineExceededError(deadline_s=1.0, elapsed_s=1.0))
QUESTION = Question(target=Target("gemini", "m"), is_needed=True)


@pytest.mark.parametrize(
    ("answer", "text", "error"),
    [
        (QuestionResult(question=QUESTION, latency_s=0.25), "gemini:m in 0.2 s", None),
        (
            QuestionResult(question=QUESTION, latency_s=1, usage=Usage(input_tokens=1, output_tokens=2)),
            "gemini:m in 1.0 s, 1 token in, 2 out",
            None,
        ),
        (
            QuestionResult(
                question=QUESTION, latency_s=1, error=ChainExhaustedError("all", [AuthenticationError("refused")])
            ),
            "gemini:m: AuthenticationError: refused (after 1.0 s)",
            "AuthenticationError",
        ),
        (
            QuestionResult(
                question=QUESTION,
                latency_s=0,
                error=ChainExhaustedError("all", [KickaiError(str(Skip(0, "gemini", "m", SkipReason.BUSY)))]),
            ),
            "gemini:m: busy (after 0.0 s)",
            "KickaiError",
        ),
        (
            QuestionResult(question=QUESTION, latency_s=1, error=DeadlineExceededError(deadline_s=1.0, elapsed_s=1.0)),
            f"gemini:m: DeadlineExceededError: {PASSED} (after 1.0 s)",
            "DeadlineExceededError",
        ),
    ],
)
def test_an_answer_is_one_line(answer: QuestionResult, text: str, error: str | None) -> None:
    """And as JSON it has the class of the error."""
    assert str(answer) == text
    shown = answer.as_dict()
    assert (shown["ok"], shown["error"]) == (error is None, error)
    assert (shown["provider"], shown["model"], shown["needed"]) == ("gemini", "m", True)
    assert shown["usage"] == (None if answer.usage is None else answer.usage.as_dict())
