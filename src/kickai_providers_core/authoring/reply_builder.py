"""One reply, built from the pieces of an answer: text, tool calls, token counts, the finish reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.authoring.closing_sources import aclosing_source, closing_source
from kickai_providers_core.authoring.json_schema import check_answer
from kickai_providers_core.authoring.stop_texts import StopTexts
from kickai_providers_core.authoring.surrogate_pairs import SurrogateJoiner
from kickai_providers_core.authoring.tool_calls import ToolCallAssembler
from kickai_providers_core.values.errors import ContentFilteredError, InvalidReplyError
from kickai_providers_core.values.replies import FinishReason, Reply, ReplyChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Sequence

    from kickai_providers_core.values.requests import ChatRequest
    from kickai_providers_core.values.tools import ToolCall
    from kickai_providers_core.values.usage import Usage

__all__ = ["ReplyBuilder", "abuild_reply", "build_reply"]


class ReplyBuilder:
    """Builds one reply from the pieces of an answer, in the order in which they arrive.

    Give it every piece, then call `finish`, then `build` for a whole reply or `build_last_chunk` for a stream. The
    result is checked: it is not cut or empty, not withheld, and it keeps to the request's ``tool_choice`` and
    ``json_schema``. Not safe to share between threads or tasks.

    Args:
        request: What was requested; None to check nothing against it.
        stop: Texts that end the answer. Text from the first one on is dropped. None for the request's own.
        omitted: Names of the request's fields that were not sent.

    Attributes:
        model: The model that answers, in the service's words; set it when it is known.
        request_id: The service's name for the request; set it when it is known.
        usage: Tokens of the whole answer; set them when they are known.
        finish_reason: Why the model stopped; set by `finish`.
        is_finished: Whether no piece has followed since.
    """

    def __init__(
        self, request: ChatRequest | None = None, *, stop: Sequence[str] | None = None, omitted: Iterable[str] = ()
    ) -> None:
        self._request = request
        own_stop = () if request is None else request.stop
        self._stops = StopTexts(own_stop if stop is None else stop)
        self._joiner = SurrogateJoiner()
        self._texts: list[str] = []
        self._thought_joiner = SurrogateJoiner()
        self._thoughts: list[str] = []
        self._calls = ToolCallAssembler()
        self._whole_ids: list[str] = []
        self._omitted = tuple(omitted)
        self._is_refused = False
        self.model = ""
        self.request_id: str | None = None
        self.usage: Usage | None = None
        self.finish_reason: FinishReason | None = None
        self.is_finished = False

    def add_text(self, text: str) -> str:
        """Take a piece of the answer's text, which may end within a character or a stop text.

        Returns:
            The text that can be handed out now; may be empty.
        """
        if not text:
            return ""
        self.is_finished = False
        new = self._stops.feed(self._joiner.feed(text))
        if new:
            self._texts.append(new)
        return new

    def add_reasoning(self, text: str) -> str:
        """Take a piece of the model's reasoning, which is kept apart from the answer.

        Returns:
            The reasoning that can be handed out now, in the ``reasoning`` of a chunk; may be empty.
        """
        new = self._thought_joiner.feed(text)
        if new:
            self._thoughts.append(new)
        return new

    def add_call_piece(
        self,
        *,
        index: object = None,
        id: object = None,  # noqa: A002  as the protocols have it
        name: object = None,
        arguments: object = None,
    ) -> None:
        """Take a piece of a streamed tool call; see `ToolCallAssembler.add`.

        Raises:
            InvalidReplyError: A part has the wrong type, or there are too many calls.
        """
        self.is_finished = False
        self._calls.add(index=index, id=id, name=name, arguments=arguments)

    def add_call(self, *, name: object, arguments: object, id: object = None) -> None:  # noqa: A002  as above
        """Take a whole tool call. A missing id, or one that an earlier call has, is replaced by a new one.

        Raises:
            InvalidReplyError: A part has the wrong type, or there are too many calls.
        """
        known = id if isinstance(id, (str, int)) and str(id) not in self._whole_ids else None
        self.add_call_piece(index=len(self._whole_ids), id=known, name=name, arguments=arguments)
        self._whole_ids.append("" if known is None else str(known))

    def add_chunk(self, chunk: ReplyChunk) -> None:
        """Take a chunk of a stream, as a provider yields it."""
        self.add_text(chunk.text)
        self.add_reasoning(chunk.reasoning)
        for call in chunk.tool_calls:
            self.add_call(id=call.id, name=call.name, arguments=call.arguments)
        self.model = chunk.model or self.model
        self.request_id = chunk.request_id or self.request_id
        self.usage = chunk.usage or self.usage
        self._omitted = chunk.omitted or self._omitted
        if chunk.finish_reason is not None:
            self.finish(chunk.finish_reason)

    def note_refusal(self) -> None:
        """Note that the model refused to answer; without any text, the answer counts as withheld."""
        self._is_refused = True

    def finish(self, reason: FinishReason) -> None:
        """Note why the model stopped. Pieces that follow are still taken."""
        self.finish_reason = reason
        self.is_finished = True

    def build(self) -> Reply:
        """Return the whole reply.

        Raises:
            InvalidReplyError: The answer is cut, empty, or does not keep to the request.
            ContentFilteredError: The service withheld it.
            UnsupportedRequestError: The request's JSON schema cannot be checked.
        """
        self._take_held_text()
        self._take_held_reasoning()
        text, calls = "".join(self._texts), self._calls.finish()
        reason = self._choose_finish_reason(calls)
        self._check(reason, text, calls)
        return Reply(
            text=text,
            finish_reason=reason,
            usage=self.usage,
            model=self.model,
            tool_calls=calls,
            request_id=self.request_id,
            omitted=self._omitted,
            reasoning="".join(self._thoughts),
        )

    def build_last_chunk(self) -> ReplyChunk:
        """Return the last chunk of a stream: text that was held back, all tool calls, and the rest.

        Raises:
            InvalidReplyError: As `build`.
            ContentFilteredError: As `build`.
            UnsupportedRequestError: As `build`.
        """
        rest, thought = self._take_held_text(), self._take_held_reasoning()
        reply = self.build()
        return ReplyChunk(
            text=rest,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            model=reply.model,
            tool_calls=reply.tool_calls,
            request_id=reply.request_id,
            omitted=reply.omitted,
            reasoning=thought,
        )

    def _take_held_text(self) -> str:
        half = self._joiner.finish()
        rest = (self._stops.feed(half) if half else "") + self._stops.finish()
        self._texts.append(rest)
        return rest

    def _take_held_reasoning(self) -> str:
        rest = self._thought_joiner.finish()
        self._thoughts.append(rest)
        return rest

    def _choose_finish_reason(self, calls: tuple[ToolCall, ...]) -> FinishReason:
        if self._stops.is_reached:
            return FinishReason.STOP
        if self.finish_reason is None:
            raise InvalidReplyError("the answer was cut: it ended without a finish reason") from None
        return FinishReason.TOOL_CALL if calls and self.finish_reason is FinishReason.STOP else self.finish_reason

    def _check(self, reason: FinishReason, text: str, calls: tuple[ToolCall, ...]) -> None:
        """Raise when this is not what was requested; some services ignore a constraint silently."""
        if reason is FinishReason.CONTENT_FILTER or (self._is_refused and not text):
            raise ContentFilteredError("the service withheld the answer", reason=reason.value)
        if reason is FinishReason.ERROR:
            raise InvalidReplyError("the model stopped with an error")
        if not text and not calls:
            due_to_request = reason is FinishReason.LENGTH or self._stops.is_reached
            raise InvalidReplyError(
                f"the answer is empty (finish reason {reason.value})", due_to_request=due_to_request
            )
        request = self._request
        if request is None or reason is FinishReason.LENGTH or calls:
            return
        if request.tools and request.tool_choice not in {None, "auto", "none"}:
            raise InvalidReplyError(
                "the model called no tool, though the request requires it: the service ignores tool_choice",
                due_to_request=True,
            )
        if request.json_schema is not None:
            check_answer(text, request.json_schema)


def build_reply(chunks: Iterable[ReplyChunk]) -> Reply:
    """Return the reply that the chunks of a whole stream make up; closes ``chunks`` when they can be closed.

    Raises:
        InvalidReplyError: The stream is cut or empty.
        ContentFilteredError: The service withheld the answer.
        ProviderError: Whatever the stream raises.
    """
    builder = ReplyBuilder()
    with closing_source(chunks):
        for chunk in chunks:
            builder.add_chunk(chunk)
    return builder.build()


async def abuild_reply(chunks: AsyncIterable[ReplyChunk]) -> Reply:
    """Return the reply that the chunks of an asynchronous stream make up, as `build_reply` does."""
    builder = ReplyBuilder()
    async with aclosing_source(chunks):
        async for chunk in chunks:
            builder.add_chunk(chunk)
    return builder.build()
