"""The keyword arguments of one call, which override the prompt's and the chain's own values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from attrs import evolve, field, frozen

from kickai_providers_core.values.rollout_key import get_key, validate_key
from kickai_providers_core.values.validation import hide_arguments, raise_value_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core.values.prompt_masking import Masked
    from kickai_providers_core.values.requests import ChatRequest
    from kickai_providers_core.values.response_types import ResponseType
    from kickai_providers_core.values.tools import Tool

__all__ = ["BATCH_CONCURRENCY", "MAX_TURNS", "NO_OPTIONS", "CallKeywords", "CallOptions", "TurnKeywords"]

MAX_TURNS = 10
"""How often `Chain.run_tools` calls the model at most, unless the call says otherwise."""

BATCH_CONCURRENCY = 8
"""How many prompts `Chain.batch` sends at a time, unless the call says otherwise."""


class TurnKeywords(TypedDict, total=False):
    """`CallKeywords` without ``tools``: the keyword arguments for each turn of `Chain.run_tools`."""

    model: str | None
    temperature: float | None
    max_tokens: int | None
    top_p: float | None
    stop: str | Sequence[str] | None
    seed: int | None
    tool_choice: str | Mapping[str, Any] | None
    json_schema: Mapping[str, Any] | None
    options: Mapping[str, Mapping[str, Any]] | None
    key: str | None
    deadline_s: float | None


class CallKeywords(TurnKeywords, total=False):
    """What every way of calling a chain takes as keyword arguments. None means the same as leaving it out.

    All but the last two replace the fields of the `ChatRequest` that have the same names.

    Attributes:
        model: The model, for targets that name none.
        temperature: From 0.
        max_tokens: The token limit of the answer, from 1.
        top_p: In (0, 1].
        stop: One or more texts that end the answer.
        seed: Asks for the same answer each time.
        tools: Functions that the model may call.
        tool_choice: ``auto``, ``none``, ``required`` or the name of a tool.
        json_schema: A JSON schema that the answer must satisfy.
        options: What only one vendor knows, by provider or instance, such as ``{"gemini": {"top_k": 40}}``.
        key: What makes a rollout's choice sticky, such as a user's id, instead of that of `use_key`. Never logged.
        deadline_s: Seconds that the request may take, instead of the chain's own; above 0.
    """

    tools: Sequence[Tool | Mapping[str, Any]] | None


KEYWORDS = tuple(CallKeywords.__annotations__)
ALL_KEYWORDS = (*KEYWORDS, "response_type")
NOT_IN_REQUESTS = frozenset({"key", "deadline_s"})


def _describe_fields(fields: Mapping[str, Any]) -> str:
    return f"<{', '.join(fields)}>"


@frozen(kw_only=True, eq=False)
class CallOptions:
    """The options of one call.

    Attributes:
        fields: Fields of the request and their values. The repr shows only the names.
        key: The rollout key that the call states, or None. Hidden from the repr.
        deadline_s: Seconds that the request may take, not yet validated; None for the chain's own.
        response_type: What the answer becomes; None for text only.
    """

    fields: Mapping[str, Any] = field(factory=dict, repr=_describe_fields)
    key: str | None = field(default=None, repr=False)
    deadline_s: float | None = None
    response_type: ResponseType[Any] | None = None

    @classmethod
    def from_keywords(cls, keywords: Masked | None, response_type: type | None = None) -> CallOptions:
        """Return the options for the keyword arguments of a call.

        Args:
            keywords: The keyword arguments; None for none.
            response_type: The class of the answer; None for text only.

        Raises:
            TypeError: A keyword is unknown, the key is not text, or the response type has no form in JSON.
            ValueError: The key is empty, or there are both a response type and a JSON schema.
        """
        return NO_OPTIONS if keywords is None and response_type is None else cls._parse(keywords, response_type)

    @classmethod
    @hide_arguments
    def _parse(cls, keywords: Masked | None, kind: type | None) -> CallOptions:
        stated = {} if keywords is None else keywords.reveal()
        given = {name: value for name, value in stated.items() if value is not None or name not in KEYWORDS}
        _reject_unknown(given)
        key = given.get("key")
        fields = {name: value for name, value in given.items() if name not in NOT_IN_REQUESTS}
        response_type: ResponseType[Any] | None = None
        if kind is not None:
            from kickai_providers_core.values.response_types import ResponseType  # noqa: PLC0415  few calls need it

            response_type = ResponseType.from_class(kind)
            if "json_schema" in fields:
                raise_value_error("json_schema", "absent next to response_type", "both")
            fields["json_schema"] = response_type.schema
        return cls(
            fields=fields,
            key=None if key is None else validate_key(key),
            deadline_s=given.get("deadline_s"),
            response_type=response_type,
        )

    @property
    def rollout_key(self) -> str | None:
        """The call's key, or else that of the context."""
        return get_key() if self.key is None else self.key

    @hide_arguments
    def apply(self, request: ChatRequest) -> ChatRequest:
        """Return the request with the options' fields.

        Raises:
            TypeError: An option has the wrong type.
            ValueError: An option has a value that the request cannot have.
        """
        if not self.fields:
            return request
        try:
            return evolve(request, **self.fields)
        except (TypeError, ValueError) as error:
            message = str(error).removeprefix("ChatRequest.")
            raise type(error)(message) from None


NO_OPTIONS = CallOptions()


def _reject_unknown(given: Mapping[str, Any]) -> None:
    unknown = next((name for name in given if name not in KEYWORDS), None)
    if unknown is None:
        return
    from difflib import get_close_matches  # noqa: PLC0415  only an error needs it

    near = get_close_matches(unknown, ALL_KEYWORDS, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(ALL_KEYWORDS)}"
    message = f"unknown keyword argument {unknown!r} ({hint})"
    raise TypeError(message)
