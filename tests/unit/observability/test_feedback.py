"""Feedback on answers, by reply and by request id."""

from __future__ import annotations

import pytest

from kickai_providers_core.observability import feedback as module
from kickai_providers_core.observability.feedback import REMEMBERED, RecentAnswers, build_feedback
from kickai_providers_core.values.errors import ArgumentTypeError, ArgumentValueError
from kickai_providers_core.values.events import RequestEnded, RequestStarted
from kickai_providers_core.values.feedback_events import FeedbackGiven
from kickai_providers_core.values.replies import FinishReason, Reply
from kickai_providers_core.values.trace import RequestTrace


def answered(request_id: str | None, provider: str = "hf") -> RequestEnded:
    """Return the end of an answered request."""
    return RequestEnded(
        1,
        "scout",
        outcome="success",
        latency_s=0.5,
        attempts=1,
        provider=provider,
        model="m",
        request_id=request_id,
        arm="control",
    )


def test_an_id_is_remembered() -> None:
    """The id leads to the provider, model, role and arm of its answer."""
    recent = RecentAnswers()
    recent.observe(answered("a"))
    recent.observe(answered("b", provider="gemini"))
    event = build_feedback("b", recent, ok=False, name="tone")
    assert event == FeedbackGiven(0, "scout", "gemini", "m", "tone", False, arm="control")  # noqa: FBT003
    assert build_feedback("a", recent, ok=True, name="tone").provider == "hf"


def test_old_ids_are_forgotten() -> None:
    """Exactly the latest answers are remembered."""
    recent = RecentAnswers()
    for number in range(REMEMBERED + 1):
        recent.observe(answered(f"id-{number}"))
    assert recent.find("id-0") is None
    assert recent.find("id-1") is not None
    assert recent.find(f"id-{REMEMBERED}") is not None


def test_other_events_are_ignored() -> None:
    """A request without an answer has no id."""
    recent = RecentAnswers()
    recent.observe(answered(None))
    recent.observe(RequestStarted(1, None, 1, 1.0))
    assert recent.find("") is None


def test_many_sources_do_not_grow_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources beyond the limit are found too."""
    monkeypatch.setattr(module, "MAX_SOURCES", 3)
    recent = RecentAnswers()
    for number in range(10):
        recent.observe(answered(f"id-{number}", provider=f"p{number}"))
    found = [recent.find(f"id-{number}") for number in range(10)]
    assert [source and source.provider for source in found] == [f"p{number}" for number in range(10)]


def test_a_reply_needs_no_memory() -> None:
    """The reply itself says who gave it."""
    trace = RequestTrace(role="scout", arm="candidate")
    reply = Reply(text="x", finish_reason=FinishReason.STOP, model="m", provider="hf", trace=trace)
    event = build_feedback(reply, RecentAnswers(), ok=True, name="answer")
    assert event == FeedbackGiven(0, "scout", "hf", "m", "answer", True, arm="candidate")  # noqa: FBT003
    assert str(event) == "hf:m: answer was good"
    assert event.attributes()["kickai.feedback.ok"] is True


@pytest.mark.parametrize(
    ("answer", "fields", "error", "words"),
    [
        ("missing", {}, ArgumentValueError, "one of the last 10,000"),
        (7, {}, ArgumentTypeError, "a Reply or a request id, got 7"),
        (Reply(text="x", finish_reason="stop"), {}, ArgumentValueError, "from a chain"),
        ("known", {"ok": 1}, ArgumentTypeError, "True or False, got 1"),
        ("known", {"name": 1}, ArgumentTypeError, "a string, got 1"),
        ("known", {"name": ""}, ArgumentValueError, "lower-case letter"),
        ("known", {"name": "Tone"}, ArgumentValueError, "'Tone'"),
        ("known", {"name": "a.b"}, ArgumentValueError, "'a.b'"),
        ("known", {"name": "a" * 41}, ArgumentValueError, "at most 39"),
        ("known", {"name": "a\n"}, ArgumentValueError, "lower-case letter"),
    ],
)
def test_a_wrong_argument_is_named(
    answer: object, fields: dict[str, object], error: type[Exception], words: str
) -> None:
    """The message says what is expected and what was passed."""
    recent = RecentAnswers()
    recent.observe(answered("known"))
    with pytest.raises(error, match=words):
        build_feedback(answer, recent, **{"ok": True, "name": "answer", **fields})  # type: ignore[arg-type]
