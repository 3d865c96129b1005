"""Unusual answers: odd pieces and odd text, several tool calls, all token counts, unknown words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from kickai_providers_core.testing.contract.checks.conversations import CALLS, TOOLS
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode
from kickai_providers_core.testing.contract.helpers.requirements import require_capability, require_finish_reason
from kickai_providers_core.testing.contract.helpers.sending import (
    encode_answer,
    exchange,
    read_arguments,
    require_detail,
    require_sent,
    try_to_send,
)
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import Ok, Status
from kickai_providers_core.values.errors import ContentFilteredError, InvalidReplyError, ProviderError
from kickai_providers_core.values.replies import FinishReason, Reply
from kickai_providers_core.values.requests import Capability
from kickai_providers_core.values.tools import ToolCall
from kickai_providers_core.values.usage import Usage

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.testing.contract.helpers.outcome import CallOutcome

__all__ = ["UnusualAnswerTests"]

ODD_TEXT = 'data: [DONE]\n\nevent: a\r\n\u2028\u2029\x85\x0b"quoted"\\ \t{"error": null}'
"""Text that a reader of lines or of events must not take for its protocol."""

LONG_PIECES = tuple(f"{number:05d} {'x' * (number % 97)}\n" for number in range(2000))
"""A stream of 2,000 pieces, about 100 kB."""

COUNTS = Usage(input_tokens=81013, output_tokens=40577, cached_tokens=3203, reasoning_tokens=2011)
MODEL, REQUEST_ID = "canary-model-2026-11", "canary-request-7f3a"
THOUGHT = "canary-thought: they have a match"
CALLED = Ok("", (), finish=FinishReason.TOOL_CALL, tool_calls=CALLS)


class UnusualAnswerTests(ProviderSpec):
    """Everything in an answer arrives, and nothing else."""

    @in_each_mode
    def test_blank_pieces_are_no_end(self, harness: ProviderHarness, mode: Mode) -> None:
        """Empty pieces, and pieces of white space, are part of the answer and do not end it."""
        pieces = ("", "one", "", " ", "\n", "two", "")
        _check_text(harness, mode, Ok("".join(pieces), pieces))

    @in_each_mode
    def test_leading_and_trailing_space_arrives(self, harness: ProviderHarness, mode: Mode) -> None:
        """White space at the start and at the end of an answer is kept."""
        _check_text(harness, mode, Ok("  \n pong \n\n "))

    @in_each_mode
    def test_odd_text_arrives(self, harness: ProviderHarness, mode: Mode) -> None:
        """Text with line separators, quotes and words of the protocol arrives unchanged."""
        _check_text(harness, mode, Ok(ODD_TEXT))

    @in_each_mode
    def test_a_long_answer_arrives(self, harness: ProviderHarness, mode: Mode) -> None:
        """An answer of 100 kB in 2,000 pieces arrives complete."""
        _check_text(harness, mode, Ok("".join(LONG_PIECES), LONG_PIECES))

    @in_each_mode
    def test_several_tool_calls_arrive(self, harness: ProviderHarness, mode: Mode) -> None:
        """Several tool calls arrive in their order, with their ids and with their arguments unchanged."""
        require_detail(harness, "tool_calls")
        _require_tools(harness)
        _, reply = exchange(harness, mode, CALLED, tools=TOOLS)
        _check_calls(reply.tool_calls, encode_answer(harness, CALLED))
        assert reply.finish_reason is FinishReason.TOOL_CALL, (
            f"expected the finish reason tool_call, got {reply.finish_reason}"
        )

    @in_each_mode
    def test_calls_of_the_same_tool_stay_apart(self, harness: ProviderHarness, mode: Mode) -> None:
        """Two calls of one tool are two calls with different ids."""
        require_detail(harness, "tool_calls")
        _require_tools(harness)
        calls = (CALLS[0], ToolCall(id="call-canary-9", name=CALLS[0].name, arguments='{"canary_day": "Sunday"}'))
        _, reply = exchange(harness, mode, evolve(CALLED, tool_calls=calls), tools=TOOLS)
        arguments = [read_arguments(call) for call in reply.tool_calls]
        assert arguments == [read_arguments(call) for call in calls], (
            f"expected the arguments of two calls of {CALLS[0].name}, got {arguments}"
        )
        ids = {call.id for call in reply.tool_calls}
        assert len(ids) == 2, f"expected two ids, got {sorted(ids)}"

    @in_each_mode
    def test_text_and_tool_calls_arrive_together(self, harness: ProviderHarness, mode: Mode) -> None:
        """The text of an answer that calls tools is kept."""
        require_detail(harness, "tool_calls")
        _require_tools(harness)
        answer = Ok("I ask.", ("I ", "ask."), finish=FinishReason.TOOL_CALL, tool_calls=CALLS[:1])
        _, reply = exchange(harness, mode, answer, tools=TOOLS)
        found = (reply.text, [call.name for call in reply.tool_calls])
        assert found == ("I ask.", ["canary_tool"]), f"expected ('I ask.', ['canary_tool']), got {found}"

    @in_each_mode
    def test_every_token_count_arrives(self, harness: ProviderHarness, mode: Mode) -> None:
        """Cached and reasoning tokens are counted too, if the service reports them."""
        require_detail(harness, "usage")
        answer = Ok(usage=COUNTS)
        _, reply = exchange(harness, mode, answer)
        sent = encode_answer(harness, answer)
        details = {
            name: value if str(value).encode() in sent else 0
            for name, value in {"cached_tokens": 3203, "reasoning_tokens": 2011}.items()
        }
        expected = evolve(COUNTS, **details)
        assert reply.usage == expected, f"expected Reply.usage to be {expected}, got {reply.usage}"

    @in_each_mode
    def test_the_services_model_is_named(self, harness: ProviderHarness, mode: Mode) -> None:
        """The reply names the model that the service says has answered, not the one that was asked for."""
        require_detail(harness, "model")
        _, reply = exchange(harness, mode, Ok(model=MODEL))
        require_sent(harness, Ok(model=MODEL), MODEL)
        assert reply.model == MODEL, f"expected Reply.model to be {MODEL!r}, as the service says, got {reply.model!r}"

    @in_each_mode
    def test_the_request_id_is_kept(self, harness: ProviderHarness, mode: Mode) -> None:
        """The reply has the service's id of the request."""
        require_detail(harness, "request_id")
        _, reply = exchange(harness, mode, Ok(request_id=REQUEST_ID))
        require_sent(harness, Ok(request_id=REQUEST_ID), REQUEST_ID)
        assert reply.request_id == REQUEST_ID, f"expected request_id={REQUEST_ID!r}, got {reply.request_id!r}"

    @in_each_mode
    def test_errors_keep_the_request_id(self, harness: ProviderHarness, mode: Mode) -> None:
        """The error of a service that names its requests in a header has that name."""
        require_detail(harness, "request_id")
        exchange(harness, mode)
        request = harness.server.requests[-1]
        answer = harness.server.wire.reply if not harness.server.wire.wants_stream(request) else None
        head: Any = (
            answer(request, "pong", **Ok(request_id=REQUEST_ID).details)
            if answer
            else harness.server.wire.stream(request, ("pong",), **Ok(request_id=REQUEST_ID).details)[0]
        )
        named = {name: value for name, value in head.headers.items() if value == REQUEST_ID}
        if not named:
            return  # the id is in the body, which an error does not have
        error = harness.attempt(mode, Status(503, "unavailable", named)).raises(ProviderError)
        assert error.request_id == REQUEST_ID, (
            f"expected request_id={REQUEST_ID!r} from the header {next(iter(named))}, got {error.request_id!r}"
        )

    @in_each_mode
    def test_reasoning_is_no_answer(self, harness: ProviderHarness, mode: Mode) -> None:
        """What the model thought is in ``reasoning``, and not in the answer."""
        require_detail(harness, "reasoning")
        _, reply = exchange(harness, mode, Ok(reasoning=THOUGHT))
        require_sent(harness, Ok(reasoning=THOUGHT), THOUGHT)
        assert reply.text == "pong", f"expected the text 'pong' without the reasoning, got {reply.text!r}"
        assert reply.reasoning == THOUGHT, f"expected Reply.reasoning to be {THOUGHT!r}, got {reply.reasoning!r}"

    @in_each_mode
    def test_an_unknown_finish_reason_is_typed(self, harness: ProviderHarness, mode: Mode) -> None:
        """A finish reason that the plugin does not know is an `InvalidReplyError`: the answer may be cut."""
        require_detail(harness, "finish_word")
        _check_unknown_finish(harness, try_to_send(harness, mode, Ok(finish_word="canary_reason")))

    @in_each_mode
    def test_a_null_finish_reason_is_typed(self, harness: ProviderHarness, mode: Mode) -> None:
        """An answer whose finish reason is null is an `InvalidReplyError`: the answer may be cut."""
        require_detail(harness, "finish_word")
        _check_unknown_finish(harness, try_to_send(harness, mode, Ok(finish_word=None)))

    @in_each_mode
    def test_an_empty_answer_is_no_answer(self, harness: ProviderHarness, mode: Mode) -> None:
        """An answer that the model ended by itself without any text is an `InvalidReplyError`."""
        try_to_send(harness, mode, Ok("", ())).raises(InvalidReplyError)

    def test_all_modes_agree(self, harness: ProviderHarness) -> None:
        """The same answer becomes the same reply in all modes."""
        answer = Ok("one two three", ("one ", "two ", "three"))
        replies = {mode: exchange(harness, mode, answer)[1] for mode in ("invoke", "ainvoke", "stream", "astream")}
        first = _summarize(replies["invoke"])
        for mode, reply in replies.items():
            found = _summarize(reply)
            assert found == first, f"{mode} returned {found}, but invoke returned {first} for the same answer"


def _require_tools(harness: ProviderHarness) -> None:
    require_capability(harness, Capability.TOOLS)
    require_finish_reason(harness, FinishReason.TOOL_CALL)


def _check_text(harness: ProviderHarness, mode: Mode, answer: Ok) -> None:
    text = try_to_send(harness, mode, answer).text
    assert text == answer.text, f"expected the text {_shorten(answer.text)}, got {_shorten(text)}"


def _shorten(text: str) -> str:
    return repr(text) if len(text) <= 200 else f"{text[:80]!r}… ({len(text)} characters)"


def _check_calls(found: tuple[ToolCall, ...], sent: bytes) -> None:
    names = [call.name for call in found]
    assert names == [call.name for call in CALLS], f"expected calls of {[call.name for call in CALLS]}, got {names}"
    for call, expected in zip(found, CALLS, strict=True):
        if expected.id.encode() in sent:
            assert call.id == expected.id, f"expected the service's id {expected.id!r} of a call, got {call.id!r}"
        arguments, wanted = read_arguments(call), read_arguments(expected)
        assert arguments == wanted, f"expected the arguments {wanted} of {call.name}, got {arguments}"


def _check_unknown_finish(harness: ProviderHarness, outcome: CallOutcome) -> None:
    if outcome.raised is not None:
        outcome.raises(InvalidReplyError, ContentFilteredError)
        return
    assert harness.spec.unknown_finish_is_stop, (
        f"{outcome.mode}: expected InvalidReplyError, since nobody can say whether the answer is whole, but the "
        "call returned it; set unknown_finish_is_stop if the service documents that it is"
    )
    assert outcome.text == "pong", f"expected the text 'pong', got {outcome.text!r}"


def _summarize(reply: Reply) -> dict[str, object]:
    names = ("text", "finish_reason", "usage", "model", "tool_calls", "omitted", "reasoning")
    return {name: getattr(reply, name) for name in names}
