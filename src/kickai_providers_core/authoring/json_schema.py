"""Check answers against JSON schemas, with the ``jsonschema`` package, which is imported on first use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kickai_providers_core.authoring.strict_json import loads
from kickai_providers_core.values.errors import InvalidReplyError, UnsupportedRequestError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["check_answer"]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def check_answer(text: str, schema: Mapping[str, Any]) -> Any:
    """Return the JSON value of an answer that keeps to a schema.

    The draft is the one that ``$schema`` names, 2020-12 otherwise. Keywords that the draft does not know are ignored,
    and so is ``format``. A reference outside the schema is never fetched.

    Args:
        text: The whole answer.
        schema: A JSON schema.

    Raises:
        InvalidReplyError: The answer is not JSON or does not keep to the schema; ``due_to_request`` is true, so that it
            counts against no target's health. The message names the place and the keyword, never a value.
        UnsupportedRequestError: The schema is not valid, or refers to another document.
    """
    try:
        value = loads(text)
    except InvalidReplyError as exc:
        raise InvalidReplyError(f"{exc.message}, though the request has a JSON schema", due_to_request=True) from None
    misfit = _find_misfit(value, _convert_schema(schema))
    if misfit:
        raise InvalidReplyError(f"the answer does not keep to the JSON schema: {misfit}", due_to_request=True)
    return value


def _find_misfit(value: object, schema: Any) -> str:
    import jsonschema  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415  takes 50 ms; few requests have a schema
    import referencing.exceptions  # noqa: PLC0415

    try:
        validator_class = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        validator_class.check_schema(schema)
        validator = validator_class(schema, registry=referencing.Registry())
        error = next(validator.iter_errors(value), None)
    except jsonschema.SchemaError as exc:
        raise UnsupportedRequestError(f"the JSON schema is not valid: {_format_path(exc.absolute_path)}") from None
    except referencing.exceptions.Unresolvable:
        raise UnsupportedRequestError(
            "the JSON schema refers to something outside of it, which is not fetched"
        ) from None
    except (re.error, RecursionError, TypeError, ValueError, OverflowError, AttributeError, LookupError) as exc:
        raise UnsupportedRequestError(f"the JSON schema cannot be used ({type(exc).__name__})") from None
    if error is None:
        return ""
    return f"{_format_path(error.absolute_path, known=set(error.absolute_schema_path))} violates {error.validator}"


def _convert_schema(value: Any) -> Any:
    """Return a schema as dicts and lists; the validator does not accept other mappings and sequences."""
    if isinstance(value, Mapping):
        return {key: _convert_schema(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_convert_schema(part) for part in value]
    return value


def _format_path(path: Any, known: AbstractSet[object] | None = None) -> str:
    """Return a path as text. A key that is not a plain name, or not a known one, may be user data: it becomes ``?``."""
    steps = []
    for step in path:
        if isinstance(step, int):
            steps.append(f"[{step}]")
        else:
            may_show = _PLAIN_KEY.fullmatch(str(step)) and (known is None or step in known)
            steps.append(f".{step if may_show else '?'}")
    return "".join(steps).lstrip(".") or "the value"
