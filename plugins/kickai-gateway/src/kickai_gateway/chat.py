"""``POST /v1/chat/completions``: from the body of a request to the answer of a chain."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from kickai_providers_core import KickaiError, Target
from kickai_providers_core.values.event_counting import may_be_billed

from kickai_gateway.answering_target import start_record
from kickai_gateway.body_reader import read_body
from kickai_gateway.disconnects import run_until_disconnect
from kickai_gateway.errors import ApiError, ErrorReply
from kickai_gateway.guards import Use
from kickai_gateway.replies import ChunkEncoder, encode_reply
from kickai_gateway.requests import parse_chat, parse_json_object
from kickai_gateway.streams import send_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core import Chain, Reply, Usage

    from kickai_gateway.answering_target import Record
    from kickai_gateway.board import Board
    from kickai_gateway.guards import Caller
    from kickai_gateway.http import HttpRequest, Responder
    from kickai_gateway.reloading import Generation
    from kickai_gateway.requests import ChatCall

__all__ = ["complete_chat"]

MIB = 2**20

LONGEST_KEY = 1_000
"""The maximum length of the rollout key in a header, in characters."""


async def complete_chat(
    request: HttpRequest,
    responder: Responder,
    *,
    caller: Caller,
    generation: Generation,
    board: Board,
    now: Callable[[], float],
) -> None:
    """Answer a request, and settle what it used.

    Args:
        request: The request; its body has not been read.
        responder: Writes the response.
        caller: Who sent it.
        generation: The resolver and the guards.
        board: Counts the answer, and remembers it for feedback.
        now: Returns the seconds since 1970.

    Raises:
        ApiError: The request cannot be served.
        KickaiError: The chain did not answer.
        ClientDisconnected: The client is gone; the call of the provider has been cancelled.
    """
    responder.route = "chat"
    board.metrics.begin()
    max_bytes = generation.resolver.settings.gateway.max_body_mb * MIB
    call = parse_chat(parse_json_object(await read_body(request, max_bytes=max_bytes)))
    if call.stream:
        responder.route = "stream"
    caller.require_model(call.model)
    options = _parse_options(request)
    chain = generation.models.find(call.model)
    options = _shorten(options, chain)
    guards = generation.guards
    reservation = await guards.reserve(caller, call, chain)
    answer = _Answer(f"chatcmpl-{request.id}", int(now()), call, start_record())
    options = {**options, **reservation.options}
    try:
        work = answer.stream if call.stream else answer.send_whole
        running = work(chain, options, responder, reservation.headers)
        reply = await run_until_disconnect(running, request.receive, responder)
    except BaseException as error:
        guards.settle(reservation, Use(usage=answer.usage, is_free=_is_free(error)))
        raise
    if reply is None:
        guards.settle(reservation, Use(usage=answer.usage))
    else:
        guards.settle(reservation, Use(usage=reply.usage, target=_find_target(reply)))
        board.answers.remember(request.id, reply)
        board.metrics.count_answer(reply.usage, fell_back=reply.fell_back)


def _find_target(reply: Reply) -> Target:
    """Return the target that answered."""
    last = reply.attempts[-1]
    return Target(last.provider, last.model)


def _is_free(error: BaseException) -> bool:
    """Return whether no service bills a request that failed in this way."""
    if not isinstance(error, KickaiError):
        return False
    attempts = getattr(getattr(error, "trace", None), "attempts", ())
    return not any(may_be_billed(attempt.outcome, attempt.error) for attempt in attempts)


class _Answer:
    """One answer on its way to the client."""

    def __init__(self, id_: str, created: int, call: ChatCall, record: Record) -> None:
        self.id, self.created, self.call, self.record = id_, created, call, record
        self.usage: Usage | None = None

    async def send_whole(
        self, chain: Chain, options: dict[str, Any], responder: Responder, headers: tuple[tuple[str, str], ...]
    ) -> Reply:
        reply: Reply = await chain.ainvoke(self.call.request, **options)
        self.usage = reply.usage
        body = encode_reply(
            reply,
            id=self.id,
            model=self.call.model,
            created=self.created,
            parallel_tool_calls=self.call.parallel_tool_calls,
        )
        facts = (
            ("x-kickai-provider", reply.provider),
            ("x-kickai-model", reply.model),
            ("x-kickai-attempts", str(len(reply.attempts))),
            ("x-kickai-fell-back", "true" if reply.fell_back else "false"),
        )
        await responder.respond_json(200, body, (*facts, *headers))
        return reply

    async def stream(
        self, chain: Chain, options: dict[str, Any], responder: Responder, headers: tuple[tuple[str, str], ...]
    ) -> Reply | None:
        async with chain.astream(self.call.request, **options) as stream:
            first = await anext(stream)
            encoder = ChunkEncoder(
                id=self.id,
                model=first.model or self.record.model or self.call.model,
                created=self.created,
                include_usage=self.call.include_usage,
                parallel_tool_calls=self.call.parallel_tool_calls,
            )
            try:
                await send_stream(
                    stream, first, encoder, responder, (*self.record.build_headers(first.model), *headers)
                )
            finally:
                self.usage = encoder.usage
            return stream.reply


def _parse_options(request: HttpRequest) -> dict[str, Any]:
    """Return the keyword arguments of the chain that the headers state."""
    options: dict[str, Any] = {}
    key, deadline = request.find_header("x-kickai-key"), request.find_header("x-kickai-deadline-s")
    if key is not None:
        if not 0 < len(key) <= LONGEST_KEY:
            raise _build_header_error("x-kickai-key", f"1 to {LONGEST_KEY} characters", f"{len(key)} characters")
        options["key"] = key
    if deadline is not None:
        options["deadline_s"] = _parse_seconds("x-kickai-deadline-s", deadline)
    return options


def _shorten(options: dict[str, Any], chain: Chain) -> dict[str, Any]:
    """Return the options with a deadline that is at most the chain's."""
    deadline_s = options.get("deadline_s")
    return options if deadline_s is None else {**options, "deadline_s": min(deadline_s, chain.deadline_s)}


def _parse_seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise _build_header_error(name, "a number of seconds greater than 0", repr(text[:20]))
    return seconds


def _build_header_error(name: str, expected: str, got: str) -> ApiError:
    message = f"the header {name} must be {expected}, got {got}"
    return ApiError(ErrorReply(status=400, message=message, code="invalid_header", param=name))
