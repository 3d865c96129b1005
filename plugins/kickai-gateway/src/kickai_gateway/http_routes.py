"""What the gateway serves: the routes are decided on the parsed path and the method alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from kickai_gateway.chat import complete_chat
from kickai_gateway.errors import ApiError, ErrorReply
from kickai_gateway.feedback import give_feedback
from kickai_gateway.status import FILES, PAGE_HEADERS, describe_status, load_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_gateway.board import Board
    from kickai_gateway.guards import Caller
    from kickai_gateway.http import HttpRequest, Responder
    from kickai_gateway.reloading import Generation
    from kickai_gateway.reports import Reports

__all__ = ["Routes"]

CHAT, MODELS, FEEDBACK = "/v1/chat/completions", "/v1/models", "/v1/feedback"
HEALTH, READY = "/healthz", "/readyz"
METRICS, STATUS, REPORT = "/metrics", "/status.json", "/report.json"

POST, GET = ("POST",), ("GET", "HEAD")
METHODS = {
    **dict.fromkeys((CHAT, FEEDBACK), POST),
    **dict.fromkeys((MODELS, HEALTH, READY, METRICS, STATUS, REPORT, *FILES), GET),
}
"""The methods of each path."""

PUBLIC = frozenset({HEALTH, READY, *FILES})
"""What anyone may read: it says nothing about the settings."""

REASONS = {
    "/v1/responses": "the Responses API keeps state on the server, this gateway none; use POST /v1/chat/completions",
    "/v1/completions": "prompts without roles are not supported; use POST /v1/chat/completions",
    "/v1/embeddings": "embeddings are not supported",
}
"""Why a known path of the API, and those below it, are not served."""

EXPOSITION = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


@frozen(kw_only=True)
class Routes:
    """Serves requests.

    Attributes:
        board: The counters and the latest answers.
        reports: Builds reports for the status page.
        now: Returns the seconds since 1970.
    """

    board: Board
    reports: Reports
    now: Callable[[], float]
    _files: dict[str, bytes] = field(init=False, repr=False)

    @_files.default
    def _load_files(self) -> dict[str, bytes]:
        return {path: load_file(name) for path, (name, _) in FILES.items()}

    async def serve(self, request: HttpRequest, responder: Responder, generation: Generation) -> None:
        """Answer a request.

        Args:
            request: The request; its body has not been read.
            responder: Writes the response.
            generation: The resolver and the checks.

        Raises:
            ApiError: The request is not allowed, malformed, or for something that is not served.
            KickaiError: The chain did not answer.
            ClientDisconnected: The client has disconnected.
        """
        path = request.path
        if path in PUBLIC:
            _require_method(request, METHODS[path])
            await self._serve_public(path, responder, generation)
            return
        caller = generation.guards.authorize(request)
        if path in METHODS:
            _require_method(request, METHODS[path])
        if path == CHAT:
            await complete_chat(
                request, responder, caller=caller, generation=generation, board=self.board, now=self.now
            )
        elif path == FEEDBACK:
            responder.route = "feedback"
            await responder.respond_json(200, await give_feedback(request, self.board.answers, generation.resolver))
        elif path == MODELS or path.startswith(f"{MODELS}/"):
            responder.route = "models"
            _require_method(request, GET)
            await responder.respond_json(200, _describe_models(generation, caller, path[len(MODELS) + 1 :]))
        elif path in METHODS:
            responder.route = "status"
            await self._serve_status(path, responder, generation)
        else:
            raise _build_unknown_path_error(path)

    async def _serve_public(self, path: str, responder: Responder, generation: Generation) -> None:
        if path in FILES:
            responder.route = "status"
            kind = (b"content-type", FILES[path][1].encode("ascii"))
            await responder.respond(200, self._files[path], (kind, *PAGE_HEADERS))
            return
        responder.route = "health"
        is_fine = path == HEALTH or generation.resolver.health().healthy
        await responder.respond_json(200 if is_fine else 503, {"status": "ok" if is_fine else "no target is available"})

    async def _serve_status(self, path: str, responder: Responder, generation: Generation) -> None:
        if path == METRICS:
            text = self.board.metrics.render(generation.resolver.health())
            await responder.respond(200, text.encode(), [EXPOSITION])
        elif path == STATUS:
            await responder.respond_json(200, describe_status(generation, self.board))
        else:
            await responder.respond_json(200, await self.reports.read())


def _describe_models(generation: Generation, caller: Caller, name: str) -> dict[str, Any]:
    """Return one model, or all when the name is empty."""
    models = generation.models
    if not name:
        data = [models.describe(each) for each in models.list_names() if caller.may_use(each)]
        return {"object": "list", "data": data}
    caller.require_model(name)
    return models.describe(name)


def _require_method(request: HttpRequest, allowed: tuple[str, ...]) -> None:
    if request.method not in allowed:
        message = f"{request.path[:100]} needs the method {allowed[0]}, got {request.method[:20]}"
        headers = (("allow", ", ".join(allowed)),)
        raise ApiError(ErrorReply(status=405, message=message, code="method_not_allowed", headers=headers))


def _build_unknown_path_error(path: str) -> ApiError:
    reason = next((reason for known, reason in REASONS.items() if f"{path}/".startswith(f"{known}/")), None)
    if reason is None:
        word = path.strip("/")
        known = next((each for each in METHODS if word and each.endswith(f"/{word}")), None)
        reason = f"use {known}, so the base URL ends with /v1" if known else f"the paths are {', '.join(METHODS)}"
    message = f"the gateway does not serve {path[:100]!r}: {reason}"
    return ApiError(ErrorReply(status=404, message=message, code="not_found"))
