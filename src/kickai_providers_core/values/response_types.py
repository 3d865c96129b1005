"""Answers as objects: the JSON schema of a response type, and the check of an answer against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.errors import InvalidReplyError
from kickai_providers_core.values.function_tools import load_json
from kickai_providers_core.values.object_shapes import is_object_class, is_pydantic_model
from kickai_providers_core.values.replies import FinishReason, ParsedReply
from kickai_providers_core.values.shapes import MisfitError
from kickai_providers_core.values.trusted import build_trusted
from kickai_providers_core.values.type_shapes import find_shape
from kickai_providers_core.values.validation import describe_type, raise_type_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.values.replies import Reply
    from kickai_providers_core.values.shapes import Shape

__all__ = ["ResponseType"]

T = TypeVar("T")


@frozen(eq=False, repr=False)
class ResponseType(Value, Generic[T]):
    """What the answer to a request becomes.

    Attributes:
        kind: An attrs class, a dataclass, a TypedDict, or a pydantic model.
    """

    kind: type[T]
    _shape: Shape = field(repr=False)

    @classmethod
    def from_class(cls, kind: type[T]) -> ResponseType[T]:
        """Return the response type for a class.

        Raises:
            TypeError: It is another kind of class, or JSON has no form for the type of a field.
        """
        if not is_object_class(kind) and not is_pydantic_model(kind):
            expected = "an attrs class, a dataclass, a TypedDict or a pydantic model"
            raise_type_error("response_type", expected, describe_type(kind))
        return cls(kind, find_shape(kind, "response_type"))

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of the answer."""
        return self._shape.schema

    def parse(self, reply: Reply) -> Reply:
        """Return the reply with the object in ``parsed``; a reply that only calls tools is returned as it is.

        Raises:
            InvalidReplyError: The text is not JSON, or does not fit the type. The message quotes nothing of it, and
                ``due_to_request`` is true, so that the failure counts against no target's health.
        """
        if reply.tool_calls and not reply.text:
            return reply
        try:
            parsed = self._shape.read(load_json(reply.text), "")
        except MisfitError as misfit:
            is_cut = reply.finish_reason is FinishReason.LENGTH
            reason = "it was cut at max_tokens" if is_cut else str(misfit)
        else:
            return build_trusted(ParsedReply, **(vars(reply) | {"parsed": parsed}))
        name = getattr(self.kind, "__name__", "the response type")
        raise InvalidReplyError(f"the answer does not fit {name}: {reason}", due_to_request=True)
