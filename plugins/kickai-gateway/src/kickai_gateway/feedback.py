"""``POST /v1/feedback``: an application rates an answer that it got through the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core import ArgumentTypeError, ArgumentValueError

from kickai_gateway.body_reader import read_body
from kickai_gateway.errors import ApiError, ErrorReply
from kickai_gateway.latest_answers import MAX_ANSWERS
from kickai_gateway.requests import parse_json_object

if TYPE_CHECKING:
    from kickai_providers_core import Resolver

    from kickai_gateway.http import HttpRequest
    from kickai_gateway.latest_answers import Answers

__all__ = ["give_feedback"]

MAX_BODY_BYTES = 10_000

FIELDS = ("id", "ok", "name")


async def give_feedback(request: HttpRequest, answers: Answers, resolver: Resolver) -> dict[str, Any]:
    """Record the feedback in the body of a request, and return the body of the response.

    Raises:
        ApiError: The body is malformed, or the answer is unknown.
    """
    body = parse_json_object(await read_body(request, max_bytes=MAX_BODY_BYTES))
    unknown = [name for name in body if name not in FIELDS]
    if unknown:
        raise _build_request_error(
            f"unknown field {unknown[0][:60]!r} (known are {', '.join(FIELDS)})", unknown[0][:60]
        )
    id_, ok, name = body.get("id"), body.get("ok"), body.get("name", "answer")
    if not isinstance(id_, str):
        raise _build_request_error("id must be the id of an answer", "id")
    if not isinstance(ok, bool):
        raise _build_request_error("ok must be true or false", "ok")
    found = answers.find(id_)
    if found is None:
        message = f"id must be that of one of the last {MAX_ANSWERS:,} answers"
        raise ApiError(ErrorReply(status=404, message=message, code="answer_not_found", param="id"))
    try:
        resolver.record_feedback(found, ok=ok, name=name)
    except (ArgumentTypeError, ArgumentValueError) as error:
        raise _build_request_error(str(error), "name") from None
    return {"object": "feedback", "id": id_, "ok": ok, "name": name}


def _build_request_error(message: str, param: str) -> ApiError:
    return ApiError(ErrorReply(status=400, message=message, code="invalid_value", param=param))
