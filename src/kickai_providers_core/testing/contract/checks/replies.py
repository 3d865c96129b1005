"""Good answers: their text, finish reason, usage and model."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

from attrs import evolve

from kickai_providers_core.testing.contract.checks.conversations import HISTORY, SCHEMA, SCHEMA_ANSWER, TOOLS
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode, in_each_stream
from kickai_providers_core.testing.contract.helpers.requirements import require_finish_reason, require_stream
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import Ok, SplitCharacters
from kickai_providers_core.values.errors import ContentFilteredError
from kickai_providers_core.values.replies import FinishReason, Reply
from kickai_providers_core.values.requests import Capability

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["ReplyTests"]

FOREIGN = "Grüße, 東京 ⚽ \U0001f468‍\U0001f469‍\U0001f467"
"""Text with characters of one to four bytes, and one character that consists of several."""

CORE_FIELDS = ("provider", "attempts", "skipped", "fell_back", "last_resort", "latency_s")


class ReplyTests(ProviderSpec):
    """A good answer arrives complete, in all four modes."""

    @in_each_mode
    def test_a_good_answer_arrives(self, harness: ProviderHarness, mode: Mode) -> None:
        """The reply has the text of the service's answer."""
        text = harness.attempt(mode).text
        assert text == "pong" if self.wire else text, f"expected the text 'pong', got {text!r}"

    @in_each_mode
    def test_text_of_any_language_arrives(self, harness: ProviderHarness, mode: Mode) -> None:
        """Text beyond ASCII arrives unchanged, also when a packet ends within a character."""
        harness.server.default = Ok(FOREIGN)
        text = harness.attempt(mode).text
        assert text == FOREIGN, f"expected the text {FOREIGN!r}, got {text!r}"
        text = harness.attempt(mode, SplitCharacters()).text
        assert text == FOREIGN, f"expected {FOREIGN!r} when packets end within characters, got {text!r}"

    @in_each_mode
    def test_usage_is_counted(self, harness: ProviderHarness, mode: Mode) -> None:
        """The reply has the token counts of the service's answer."""
        usage = harness.attempt(mode).reply.usage
        if self.wire is not None:
            assert usage == self.usage, f"expected Reply.usage to be {self.usage}, got {usage}"
        elif usage is not None:
            counts = (usage.input_tokens, usage.output_tokens)
            assert min(counts) > 0, f"expected token counts above 0, got {counts}"

    @in_each_mode
    def test_finish_reason_is_stop(self, harness: ProviderHarness, mode: Mode) -> None:
        """An answer that the model ended by itself has the finish reason ``stop``."""
        allowed = {FinishReason.STOP} if self.wire else {FinishReason.STOP, FinishReason.LENGTH}
        reason = harness.attempt(mode).reply.finish_reason
        assert reason in allowed, f"expected the finish reason stop, got {reason}"

    @in_each_mode
    def test_finish_reason_is_length(self, harness: ProviderHarness, mode: Mode) -> None:
        """An answer that reached its token limit is a reply with the finish reason ``length``."""
        require_finish_reason(harness, FinishReason.LENGTH)
        reply = harness.attempt(mode, Ok("pong", finish=FinishReason.LENGTH)).reply
        found = (reply.text, reply.finish_reason)
        assert found == ("pong", FinishReason.LENGTH), (
            f"expected the text 'pong' and the finish reason length, got {found}"
        )

    @in_each_mode
    def test_finish_reason_is_content_filter(self, harness: ProviderHarness, mode: Mode) -> None:
        """A filtered answer has the finish reason ``content_filter``, or is a `ContentFilteredError`."""
        require_finish_reason(harness, FinishReason.CONTENT_FILTER)
        outcome = harness.attempt(mode, Ok("po", finish=FinishReason.CONTENT_FILTER))
        if outcome.raised is None:
            reason = outcome.reply.finish_reason
            assert reason is FinishReason.CONTENT_FILTER, (
                f"expected the finish reason content_filter or a ContentFilteredError, got {reason}"
            )
        else:
            outcome.raises(ContentFilteredError)

    @in_each_mode
    def test_the_model_is_named(self, harness: ProviderHarness, mode: Mode) -> None:
        """The reply names the model that answered."""
        assert harness.attempt(mode).reply.model, "Reply.model is empty"

    @in_each_mode
    def test_the_cores_fields_are_left_empty(self, harness: ProviderHarness, mode: Mode) -> None:
        """The plugin leaves the fields empty that the core fills in."""
        reply = harness.attempt(mode).reply
        blank = Reply(text="", finish_reason=FinishReason.STOP)
        for name in CORE_FIELDS:
            value = getattr(reply, name)
            assert value == getattr(blank, name), f"Reply.{name} is set to {value!r}: leave it to the core"

    @in_each_mode
    def test_answers_pickle(self, harness: ProviderHarness, mode: Mode) -> None:
        """Replies and chunks can be pickled."""
        outcome = harness.attempt(mode)
        for value in (outcome.reply, *outcome.chunks):
            again = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes
            assert again == value, f"pickling changed {value!r} to {again!r}"

    @in_each_mode
    def test_the_request_is_not_changed(self, harness: ProviderHarness, mode: Mode) -> None:
        """The request, with everything in it, is the same after the call."""
        requests = [(evolve(harness.request, stop=("HALT",)), Ok())]
        if self.wire is not None and Capability.TOOLS in harness.info.capabilities:
            requests.append((evolve(harness.request, messages=HISTORY, tools=TOOLS), Ok()))
        if self.wire is not None and Capability.JSON_SCHEMA in harness.info.capabilities:
            requests.append((evolve(harness.request, json_schema=SCHEMA), Ok(SCHEMA_ANSWER)))
        for each, answer in requests:
            request = copy.deepcopy(each)  # the values are those of other tests
            harness.attempt(mode, answer, request=request).reply  # noqa: B018
            for name in ("messages", "tools", "json_schema"):
                assert getattr(request, name) == getattr(each, name), f"the provider changed {name} of the request"
            assert request == each, "the provider changed the request"

    @in_each_stream
    def test_streams_come_in_pieces(self, harness: ProviderHarness, mode: Mode) -> None:
        """Each piece of the service's stream is one chunk, and only the last chunk has a finish reason."""
        require_stream(harness, mode)
        chunks = harness.attempt(mode, Ok(pieces=("one ", "two ", "three"))).chunks
        texts = [chunk.text for chunk in chunks if chunk.text]  # type: ignore[attr-defined]
        right = texts == ["one ", "two ", "three"] if self.wire else len(texts) > 1
        assert right, f"expected a chunk for each piece: 'one ', 'two ', 'three', got {texts}"
        reasons = [chunk.finish_reason for chunk in chunks]  # type: ignore[attr-defined]
        assert reasons[-1] is not None, "the last chunk has no finish reason"
        assert not any(reasons[:-1]), "only the last chunk may have a finish reason"
