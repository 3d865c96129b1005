"""Good answers: text, finish reasons, usage, and a request that arrives as it was given."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from kickai_providers_core.testing.contract.givens import MODES, STREAMS
from kickai_providers_core.testing.contract.needs import need_finish, need_stream
from kickai_providers_core.testing.contract.supplied import Supplied
from kickai_providers_core.testing.faults import Drip, Ok
from kickai_providers_core.values.errors import ContentFilteredError
from kickai_providers_core.values.replies import FinishReason, Reply

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.subject import Subject

__all__ = ["Answers"]

FOREIGN = "Grüße, 東京 ⚽ \U0001f468‍\U0001f469‍\U0001f467"
"""Text of one to four bytes a character, and characters of several."""


class Answers(Supplied):
    """A good answer arrives whole, in all four modes."""

    @pytest.mark.parametrize("mode", MODES)
    def test_a_good_answer_arrives(self, subject: Subject, mode: Mode) -> None:
        """The provider returns the service's text."""
        text = subject.attempt(mode).text
        assert text == "pong" if self.wire else text

    @pytest.mark.parametrize("mode", MODES)
    def test_text_of_any_language_arrives(self, subject: Subject, mode: Mode) -> None:
        """Text beyond ASCII is unharmed, also when its bytes come one by one."""
        subject.server.default = Ok(FOREIGN)
        assert subject.attempt(mode).text == FOREIGN
        assert subject.attempt(mode, Drip(0.0)).text == FOREIGN

    @pytest.mark.parametrize("mode", MODES)
    def test_usage_is_counted(self, subject: Subject, mode: Mode) -> None:
        """The tokens are those that the service states."""
        usage = subject.attempt(mode).reply.usage
        if self.wire is not None:
            assert usage == self.usage
        elif usage is not None:
            assert usage.input_tokens > 0
            assert usage.output_tokens > 0

    @pytest.mark.parametrize("mode", MODES)
    def test_finish_reason_is_stop(self, subject: Subject, mode: Mode) -> None:
        """An answer that the model ended by itself says so."""
        allowed = {FinishReason.STOP} if self.wire else {FinishReason.STOP, FinishReason.LENGTH}
        assert subject.attempt(mode).reply.finish_reason in allowed

    @pytest.mark.parametrize("mode", MODES)
    def test_finish_reason_is_length(self, subject: Subject, mode: Mode) -> None:
        """An answer that ran into its token limit is an answer, and says so."""
        need_finish(subject, FinishReason.LENGTH)
        reply = subject.attempt(mode, Ok("pong", finish=FinishReason.LENGTH)).reply
        assert (reply.text, reply.finish_reason) == ("pong", FinishReason.LENGTH)

    @pytest.mark.parametrize("mode", MODES)
    def test_finish_reason_is_content_filter(self, subject: Subject, mode: Mode) -> None:
        """An answer that the provider withheld does not pass for one that the model ended."""
        need_finish(subject, FinishReason.CONTENT_FILTER)
        outcome = subject.attempt(mode, Ok("po", finish=FinishReason.CONTENT_FILTER))
        if outcome.raised is None:
            assert outcome.reply.finish_reason is FinishReason.CONTENT_FILTER
        else:
            outcome.raises(ContentFilteredError)

    @pytest.mark.parametrize("mode", MODES)
    def test_the_model_is_named(self, subject: Subject, mode: Mode) -> None:
        """The answer names the model that gave it."""
        assert subject.attempt(mode).reply.model

    @pytest.mark.parametrize("mode", MODES)
    def test_the_cores_fields_are_left_alone(self, subject: Subject, mode: Mode) -> None:
        """What the core fills in is not filled in by the plugin."""
        reply = subject.attempt(mode).reply
        blank = Reply(text="", finish_reason=FinishReason.STOP)
        for name in ("provider", "attempts", "skipped", "fell_back", "last_resort", "latency_s"):
            assert getattr(reply, name) == getattr(blank, name), f"{name} is the core's to fill in"

    @pytest.mark.parametrize("mode", MODES)
    def test_answers_pickle(self, subject: Subject, mode: Mode) -> None:
        """An answer holds nothing that could not go to another process."""
        outcome = subject.attempt(mode)
        for value in (outcome.reply, *outcome.chunks):
            assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes

    @pytest.mark.parametrize("mode", MODES)
    def test_the_request_is_not_changed(self, subject: Subject, mode: Mode) -> None:
        """The request, and whatever it holds, is the same after the call."""
        request = evolve(subject.request, stop=("HALT",))
        before = copy.deepcopy(request)
        subject.attempt(mode, request=request).reply  # noqa: B018
        assert request == before

    @pytest.mark.parametrize("mode", STREAMS)
    def test_streams_come_in_pieces(self, subject: Subject, mode: Mode) -> None:
        """Each piece of the service's stream is handed out, and only the last chunk has a finish reason."""
        need_stream(subject, mode)
        chunks = subject.attempt(mode, Ok(pieces=("one ", "two ", "three"))).chunks
        texts = [chunk.text for chunk in chunks if chunk.text]  # type: ignore[attr-defined]
        assert texts == ["one ", "two ", "three"] if self.wire else len(texts) > 1
        reasons = [chunk.finish_reason for chunk in chunks]  # type: ignore[attr-defined]
        assert reasons[-1] is not None, "the last chunk has no finish reason"
        assert not any(reasons[:-1]), "a chunk before the last one has a finish reason"
