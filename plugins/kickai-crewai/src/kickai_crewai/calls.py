"""One call of a `KickaiLLM`: its events, its walk down the chain, and its answer in CrewAI's form."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import define, field
from crewai.events.types.llm_events import LLMCallType
from crewai.hooks.dispatch import HookAborted
from crewai.llms.base_llm import LLMCallBlockedError, llm_call_context
from kickai_providers_core import (
    ArgumentTypeError,
    ArgumentValueError,
    Capability,
    FinishReason,
    KickaiError,
    ParsedReply,
)
from kickai_providers_core.values.rollout_key import get_key
from pydantic import ValidationError

from kickai_crewai.errors import KickaiCallError
from kickai_crewai.replies import build_tool_calls, build_usage, cut_at_stop, find_places, parse_answer, parse_arguments
from kickai_crewai.requests import build_request, validate_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crewai.llms.base_llm import BaseLLM
    from kickai_providers_core import Chain, ChatRequest, Reply, ReplyChunk, StreamMode
    from pydantic import BaseModel

__all__ = ["CrewCall", "find_key"]

FINISH_REASONS = {FinishReason.TOOL_CALL: "tool_calls"}
"""The finish reasons for which CrewAI has another word, which is OpenAI's."""


def find_key(task: Any) -> str | None:
    """Return the rollout key of a call: one for each execution of a task, so that all its calls go to the same arm.

    The id of a task alone would send every execution of a long-lived crew to the same arm. None without a task, and
    where the application has set a key with `use_key`, which then applies.
    """
    started = getattr(task, "start_time", None)
    return None if started is None or get_key() is not None else f"{task.id}/{started.isoformat()}"


@define(kw_only=True, eq=False, repr=False)
class CrewCall:
    """One call. It belongs to one thread or task.

    Attributes:
        llm: The LLM that is called, which emits the events.
        chain: Its chain.
        deadline_s: Seconds that the call may take; None for the chain's own.
        stream_mode: How a streamed call falls back.
        messages: As CrewAI passed them.
        tools: The tools that the model may call, in the form of OpenAI's API.
        available_functions: Functions that the call itself carries out, by name.
        from_task: The task that calls.
        from_agent: The agent that calls.
        response_model: The class of the answer.
    """

    llm: BaseLLM
    chain: Chain
    deadline_s: float | None
    stream_mode: StreamMode
    messages: Any
    tools: Any = None
    available_functions: dict[str, Any] | None = None
    from_task: Any = None
    from_agent: Any = None
    response_model: type[BaseModel] | None = None
    _formatted: list[Any] = field(init=False, factory=list)

    def invoke(self) -> Any:
        """Return the answer, blocking the thread.

        Raises:
            KickaiCallError: No target answered, or the request was refused.
            HookAborted: A hook of the application denied the call.
        """
        with self._report():
            request, options = self._prepare()
            if not self.llm._effective_stream():
                return self._finish(self.chain.invoke(request, **options))
            with self.chain.stream(request, mode=self.stream_mode, **options) as chunks:
                for chunk in chunks:
                    self._emit_chunk(chunk)
            return self._finish(chunks.reply)

    async def ainvoke(self) -> Any:
        """Return the answer without blocking the event loop; otherwise as `invoke`."""
        with self._report():
            request, options = self._prepare()
            if not self.llm._effective_stream():
                return self._finish(await self.chain.ainvoke(request, **options))
            async with self.chain.astream(request, mode=self.stream_mode, **options) as chunks:
                async for chunk in chunks:
                    self._emit_chunk(chunk)
            return self._finish(chunks.reply)

    @contextmanager
    def _report(self) -> Iterator[None]:
        """Emit the event of a failure, and raise it as a `KickaiCallError`."""
        try:
            validate_messages(self.messages)  # CrewAI's first event would quote what it cannot take
        except ArgumentTypeError as failure:
            raise KickaiCallError.from_failure(failure) from failure
        origin = {"from_task": self.from_task, "from_agent": self.from_agent}
        with llm_call_context():
            try:
                yield
            except (HookAborted, LLMCallBlockedError) as denial:
                self.llm._emit_call_denied_event(denial, **origin)
                raise
            except (KickaiError, RuntimeError, ValueError) as failure:
                raise self._build_error(failure, origin) from (
                    None if isinstance(failure, ValidationError) else failure
                )
            except BaseException as interruption:
                self.llm._emit_call_failed_event(type(interruption).__name__, **origin)
                raise

    def _build_error(self, failure: Exception, origin: dict[str, Any]) -> KickaiCallError:
        """Emit the event of a failure, and return the error to raise. What pydantic quotes is left out."""
        if isinstance(failure, ValidationError):
            failure = ArgumentValueError(f"CrewAI does not take what it was given: {find_places(failure)}")
        error = KickaiCallError.from_failure(failure)
        self.llm._emit_call_failed_event(str(error), **origin)
        return error

    def _prepare(self) -> tuple[ChatRequest, dict[str, Any]]:
        """Emit the first event, run the application's hooks, and return the request and the options of the walk."""
        llm = self.llm
        llm._emit_call_started_event(
            messages=self.messages,
            tools=self.tools,
            available_functions=self.available_functions,
            from_task=self.from_task,
            from_agent=self.from_agent,
            temperature=self.chain.temperature if llm.temperature is None else llm.temperature,
        )
        self._formatted = llm._format_messages(self.messages)
        llm._invoke_before_llm_call_hooks(self._formatted, self.from_agent)
        # The chain checks the answer if every target takes the schema of its class. Asked once: it may change.
        is_native = Capability.JSON_SCHEMA in self.chain.capabilities
        request = build_request(
            self._formatted,
            tools=self.tools,
            described_model=None if is_native else self.response_model,
            temperature=llm.temperature,
            max_tokens=None if llm.max_tokens is None else int(llm.max_tokens),
            top_p=llm.top_p,
            seed=llm.seed,
            stop=self._stops,
        )
        return request, {
            "key": find_key(self.from_task),
            "deadline_s": self.deadline_s,
            "response_type": self.response_model if is_native else None,
        }

    @property
    def _stops(self) -> list[str]:
        return [text for text in self.llm.stop_sequences if text]

    def _finish(self, reply: Reply | None) -> Any:
        """Count the tokens, emit the last event, and return the answer in CrewAI's form."""
        assert reply is not None  # noqa: S101  a stream that ended without an error has a reply
        llm = self.llm
        # CrewAI counts a request only when there are figures.
        llm._track_token_usage_internal(build_usage(reply) or {"prompt_tokens": 0})
        if reply.tool_calls and self.available_functions:
            result = self._run_function(reply)
            if result is not None:
                return result
        if reply.tool_calls:
            calls = build_tool_calls(reply)
            self._emit_completed(reply, calls, LLMCallType.TOOL_CALL)
            return calls
        if self.response_model is not None:
            parsed = reply.parsed if isinstance(reply, ParsedReply) else parse_answer(reply.text, self.response_model)
            self._emit_completed(reply, reply.text, LLMCallType.LLM_CALL)
            return parsed
        text = cut_at_stop(reply.text, self._stops)
        self._emit_completed(reply, text, LLMCallType.LLM_CALL)
        return llm._invoke_after_llm_call_hooks(self._formatted, text, self.from_agent)

    def _run_function(self, reply: Reply) -> str | None:
        """Return the result of the first tool call; None when its function is unknown or fails."""
        call = reply.tool_calls[0]
        result: str | None = self.llm._handle_tool_execution(
            function_name=call.name,
            function_args=parse_arguments(call),
            available_functions=self.available_functions or {},
            from_task=self.from_task,
            from_agent=self.from_agent,
        )
        return result

    def _emit_chunk(self, chunk: ReplyChunk) -> None:
        origin = {"from_task": self.from_task, "from_agent": self.from_agent}
        if chunk.reasoning:
            self.llm._emit_thinking_chunk_event(chunk.reasoning, **origin)
        if chunk.text:
            self.llm._emit_stream_chunk_event(chunk.text, call_type=LLMCallType.LLM_CALL, **origin)

    def _emit_completed(self, reply: Reply, response: object, call_type: LLMCallType) -> None:
        self.llm._emit_call_completed_event(
            response=response,
            call_type=call_type,
            from_task=self.from_task,
            from_agent=self.from_agent,
            messages=self._formatted,
            usage=build_usage(reply),
            finish_reason=FINISH_REASONS.get(reply.finish_reason, reply.finish_reason.value),
            response_id=reply.request_id,
        )
