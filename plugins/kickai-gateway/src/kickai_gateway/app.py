"""The ASGI application: serves each request, turns errors into replies, and counts."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kickai_providers_core import KickaiError

from kickai_gateway.board import Board
from kickai_gateway.disconnects import ClientDisconnected
from kickai_gateway.errors import INTERNAL, SHUTDOWN, ApiError, build_error_reply
from kickai_gateway.http import HttpRequest, Responder
from kickai_gateway.http_routes import Routes
from kickai_gateway.reloading import Generation, Generations
from kickai_gateway.reports import Reports

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core import Resolver

    from kickai_gateway.errors import ErrorReply
    from kickai_gateway.guards import Guards
    from kickai_gateway.http import Receive, Scope, Send

__all__ = ["Gateway"]

DISCONNECTED = 499
"""The status under which a request is counted whose client has disconnected, as nginx names it."""


class Gateway:
    """Serves a resolver's chains. An ASGI application for one event loop.

    Attributes:
        generations: The resolver that serves requests, and its replacement.
        board: The counters and the latest answers.
    """

    def __init__(
        self,
        resolver: Resolver,
        guards: Guards | None = None,
        *,
        board: Board | None = None,
        config: Path | None = None,
        now: Callable[[], float] = time.time,
        log: Callable[[str], None] | None = None,
    ) -> None:
        """Serve a resolver.

        Args:
            resolver: Has the chains. Create it with `kickai_gateway.observe` as an observer, or the headers of
                streams do not say which target answers. The gateway closes it with the server.
            guards: Checks the callers; None serves the programs on this machine.
            board: What the workers of a gateway share; None for a single one.
            config: The settings file, for the report of the status page; None to search for it.
            now: Returns the seconds since 1970.
            log: Receives a line for each fault of the gateway itself; None for standard error.
        """
        self.generations = Generations(Generation(resolver) if guards is None else Generation(resolver, guards))
        self.board = Board.create() if board is None else board
        self._log = log or _log
        self._routes = Routes(board=self.board, reports=Reports(config, time.monotonic), now=now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            if event["type"] == "lifespan.shutdown":
                await self.generations.aclose()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                return

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and count it; nothing but a cancellation reaches the server."""
        began_s, id_ = time.monotonic(), secrets.token_hex(12)
        request = HttpRequest.from_scope(scope, receive, request_id=id_)
        responder = Responder(send, (("x-request-id", f"req_{id_}"),))
        status = DISCONNECTED
        try:
            reply = await self._answer(request, responder)
            status = (responder.status or DISCONNECTED) if reply is None else reply.status
            await _explain(reply, responder)
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:  # the server ends
            status = SHUTDOWN.status
            await _explain(SHUTDOWN, responder)
            raise
        finally:
            self.board.metrics.end(responder.route, status, time.monotonic() - began_s)

    async def _answer(self, request: HttpRequest, responder: Responder) -> ErrorReply | None:
        """Answer a request; return the error reply if it failed.

        Raises:
            ClientDisconnected: The client has disconnected.
        """
        generation = self.generations.current
        try:
            with generation.use():
                await self._routes.serve(request, responder, generation)
        except ApiError as error:
            return error.reply
        except KickaiError as error:
            return build_error_reply(error)
        except (ClientDisconnected, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001  a fault of the gateway must not end the server
            self._log(f"request req_{request.id}: {_locate(error)}")
            return INTERNAL
        return None


async def _explain(reply: ErrorReply | None, responder: Responder) -> None:
    """Send an error reply, unless a response has begun; a stream has sent its error itself."""
    if reply is not None and responder.status is None:
        await responder.respond_json(reply.status, reply.as_dict(), reply.headers)


def _locate(error: BaseException) -> str:
    """Return the class and the place of an unexpected error; its message might hold a prompt."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return f"unexpected {type(error).__name__}{place}, please report it"


def _log(line: str) -> None:
    print(f"kickai: {line}", file=sys.stderr, flush=True)  # noqa: T201  the server's own log
