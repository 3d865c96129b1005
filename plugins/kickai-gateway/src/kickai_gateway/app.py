"""The ASGI application: routes requests on their parsed path, and turns errors into replies."""

from __future__ import annotations

import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kickai_providers_core import KickaiError

from kickai_gateway.chat import complete_chat
from kickai_gateway.disconnects import ClientDisconnected
from kickai_gateway.errors import ApiError, ErrorReply, describe_error
from kickai_gateway.feedback import Answers, give_feedback
from kickai_gateway.generations import Generation, Generations
from kickai_gateway.http import HttpRequest, Responder

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core import Resolver

    from kickai_gateway.guards import Caller, Guards
    from kickai_gateway.http import Receive, Scope, Send

__all__ = ["Gateway"]

MODELS = "/v1/models"
CHAT = "/v1/chat/completions"
FEEDBACK = "/v1/feedback"
RESPONSES = "/v1/responses"
METHODS = {
    **dict.fromkeys((CHAT, FEEDBACK), ("POST",)),
    **dict.fromkeys((MODELS, "/healthz", "/readyz"), ("GET", "HEAD")),
}
"""The methods of each path."""

REASONS = {
    RESPONSES: "the Responses API keeps state on the server, this gateway none; use POST /v1/chat/completions",
    "/v1/completions": "prompts without roles are not supported; use POST /v1/chat/completions",
    "/v1/embeddings": "embeddings are not supported",
}
"""Why a known path of the API is not served."""

PUBLIC = frozenset({"/healthz", "/readyz"})
"""What anyone may read: it says nothing about the settings."""


class Gateway:
    """Serves a resolver's chains. An ASGI application for one event loop.

    Attributes:
        generations: The resolver that serves requests, and its replacement.
    """

    def __init__(
        self,
        resolver: Resolver,
        guards: Guards | None = None,
        *,
        now: Callable[[], float] = time.time,
        log: Callable[[str], None] | None = None,
    ) -> None:
        """Serve a resolver.

        Args:
            resolver: Has the chains. Create it with `kickai_gateway.records.observe` as an observer, or the headers of
                streams do not say which target answers. The gateway closes it with the server.
            guards: Checks the callers; None lets everyone in.
            now: Returns the seconds since 1970.
            log: Receives a line for each fault of the gateway itself; None for standard error.
        """
        self.generations = Generations(Generation(resolver) if guards is None else Generation(resolver, guards))
        self._now, self._answers, self._log = now, Answers(), log or _log

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
        """Serve one request; nothing that it raises reaches the server."""
        id_ = secrets.token_hex(12)
        request = HttpRequest.from_scope(scope, receive, request_id=id_)
        responder = Responder(send, (("x-request-id", f"req_{id_}"),))
        generation = self.generations.current
        try:
            with generation.use():
                await self._route(request, responder, generation)
            return
        except ClientDisconnected:
            return
        except ApiError as error:
            reply = error.reply
        except KickaiError as error:
            reply = describe_error(error)
        except Exception as error:  # noqa: BLE001  a fault of the gateway must not end the server
            self._log(f"request req_{id_}: {_locate(error)}")
            reply = ErrorReply(status=500, message="the gateway failed", type="server_error", code="internal_error")
        if responder.status is None:
            await responder.respond_json(reply.status, reply.as_dict(), reply.headers)

    async def _route(self, request: HttpRequest, responder: Responder, generation: Generation) -> None:
        path = request.path
        if path in PUBLIC:
            _require_method(request)
            await self._report_health(path, responder, generation)
            return
        caller = generation.guards.authorize(request)
        if path == CHAT:
            _require_method(request)
            await complete_chat(
                request,
                responder,
                caller=caller,
                generation=generation,
                now=self._now,
                remember=self._answers.remember,
            )
        elif path == MODELS:
            _require_method(request)
            await responder.respond_json(200, _list_models(generation, caller))
        elif path.startswith(f"{MODELS}/"):
            await responder.respond_json(200, _describe_model(generation, caller, path.removeprefix(f"{MODELS}/")))
        elif path == FEEDBACK:
            _require_method(request)
            await responder.respond_json(200, await give_feedback(request, self._answers, generation.resolver))
        else:
            raise _no_such_path(path)

    async def _report_health(self, path: str, responder: Responder, generation: Generation) -> None:
        is_ready = path == "/healthz" or generation.resolver.health().healthy
        status, word = (200, "ok") if is_ready else (503, "no target is available")
        await responder.respond_json(status, {"status": word})


def _list_models(generation: Generation, caller: Caller) -> dict[str, Any]:
    models = generation.models
    data = [models.describe(name) for name in models.names() if caller.may_use(name)]
    return {"object": "list", "data": data}


def _describe_model(generation: Generation, caller: Caller, name: str) -> dict[str, Any]:
    if not caller.may_use(name):
        message = f"the model {name!r} does not exist, or this key may not use it"
        raise ApiError(ErrorReply(status=404, message=message, code="model_not_found", param="model"))
    return generation.models.describe(name)


def _require_method(request: HttpRequest) -> None:
    allowed = METHODS[request.path]
    if request.method not in allowed:
        message = f"{request.path} needs the method {allowed[0]}, got {request.method}"
        headers = (("allow", ", ".join(allowed)),)
        raise ApiError(ErrorReply(status=405, message=message, code="method_not_allowed", headers=headers))


def _no_such_path(path: str) -> ApiError:
    reason = REASONS.get(path)
    if reason is None:
        known = next((each for each in METHODS if path.strip("/") and each.endswith(f"/{path.strip('/')}")), None)
        reason = f"use {known}, so the base URL ends with /v1" if known else f"the paths are {', '.join(METHODS)}"
    message = f"the gateway does not serve {path[:100]!r}: {reason}"
    return ApiError(ErrorReply(status=404, message=message, code="not_found"))


def _locate(error: BaseException) -> str:
    """Return the class and the place of an unexpected error; its message might hold a prompt."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return f"unexpected {type(error).__name__}{place}, please report it"


def _log(line: str) -> None:
    print(f"kickai: {line}", file=sys.stderr, flush=True)  # noqa: T201  the server's own log
