"""What goes into a provider and what comes out of it: requests, replies, chunks, usage.

The values are frozen, since they cross between the application, plugins and providers. They are not slotted: attrs
fills the dict of a frozen class in half the time that it needs for slots, and a dict can be copied whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from attrs import evolve, field, frozen

from kickai_providers_core.explanation import explained

if TYPE_CHECKING:
    from kickai_providers_core.attempts import Attempt, Skip

__all__ = [
    "Capability",
    "ChatRequest",
    "FinishReason",
    "Image",
    "Message",
    "Prompt",
    "Reply",
    "ReplyChunk",
    "Speaker",
    "Tool",
    "ToolCall",
    "Usage",
]

Speaker = Literal["system", "user", "assistant", "tool"]
"""Who a message is from."""

SPEAKERS = frozenset({"system", "user", "assistant", "tool"})


class Capability(StrEnum):
    """What a request may need beyond text, and a provider or one of its models may offer."""

    TOOLS = "tools"
    JSON_SCHEMA = "json_schema"
    IMAGES = "images"
    SEED = "seed"


NOTHING: frozenset[Capability] = frozenset()


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    TOOL_CALL = "tool_call"
    ERROR = "error"


@frozen(kw_only=True, slots=False)
class Usage:
    """Tokens of one answer, as the provider counted them.

    Attributes:
        input_tokens: The prompt, cached tokens included.
        output_tokens: All that is billed as output, reasoning included.
        cached_tokens: The part of the input that came from a cache.
        reasoning_tokens: The part of the output that went into thinking.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@frozen(kw_only=True, slots=False)
class Image:
    """A picture in a message: its bytes, or where a provider may fetch it.

    Attributes:
        media_type: For example ``image/png``.
        data: The picture itself; hidden from the repr.
        url: An address that the *provider* fetches; exactly one of data and url is set.
    """

    media_type: str
    data: bytes | None = field(default=None, repr=False)
    url: str | None = None

    def __attrs_post_init__(self) -> None:
        if (self.data is None) == (self.url is None):
            message = "an Image has either data or a url"
            raise ValueError(message)


@frozen(kw_only=True, slots=False)
class ToolCall:
    """A call that the model asks for.

    Attributes:
        id: The provider's name for the call, repeated by the message that answers it.
        name: The tool.
        arguments: A JSON object, as the model wrote it.
    """

    id: str
    name: str
    arguments: str


@frozen(kw_only=True, slots=False)
class Tool:
    """A function that the model may ask to call.

    Attributes:
        name: Letters, digits, ``_`` and ``-``.
        description: For the model.
        parameters: A JSON schema of an object.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(factory=lambda: {"type": "object", "properties": {}})


@frozen(kw_only=True, slots=False)
class Message:
    """One turn of a conversation.

    Attributes:
        role: Who it is from.
        content: Its text; may be empty when the assistant only calls tools.
        images: Pictures that go with the text.
        tool_calls: The calls that an assistant's message asks for.
        tool_call_id: In a ``tool`` message, the call that it answers.
    """

    role: Speaker
    content: str = ""
    images: tuple[Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @classmethod
    def of(cls, value: Message | Mapping[str, Any] | object) -> Message:
        """Return a message from a ``{"role", "content"}`` mapping, or the message itself.

        Raises:
            TypeError: It is neither, or its content is not text.
            ValueError: It has another key, or a role that does not exist.
        """
        if isinstance(value, Message):
            return value
        if not isinstance(value, Mapping):  # callers without a type checker
            told = f"a message is a Message or a mapping with role and content, not {type(value).__name__}"
            raise TypeError(told)
        unknown = set(value) - {"role", "content"}
        if unknown or "role" not in value:
            told = f"a message has the keys role and content, not {sorted(map(str, value))}: use Message for the rest"
            raise ValueError(told)
        role, content = value["role"], value.get("content", "")
        if role not in SPEAKERS:
            told = f"a message's role is one of {', '.join(sorted(SPEAKERS))}, not {role!r}"
            raise ValueError(told)
        if not isinstance(content, str):
            told = f"a message's content is text, not {type(content).__name__}"
            raise TypeError(told)
        return cls(role=role, content=content)


FROM_USER = Message(role="user").__dict__
"""The fields of a message of the user's that is yet to be written."""


@frozen(kw_only=True, slots=False)
class ChatRequest:
    """All that a provider is asked.

    What is None here is filled in by the role, then by the chain's target, then left to the provider. When a
    provider's hook gets a request, ``model``, ``temperature`` and ``max_tokens`` are final.

    Attributes:
        messages: The conversation, oldest first; never empty. Hidden from the repr: it is the user's.
        model: The model to ask for; None for the instance's own.
        temperature: From 0; None leaves it to the provider.
        max_tokens: The most tokens to answer with, from 1; None leaves it to the provider.
        top_p: In (0, 1]; None leaves it to the provider.
        stop: Texts that end the answer, without being part of it.
        seed: Asks for the same answer each time, as far as the provider can; None for no such wish.
        tools: Functions that the model may ask to call.
        tool_choice: ``auto``, ``none``, ``required``, or the name of one tool; None leaves it to the provider.
        json_schema: The answer must be JSON that this schema admits.
    """

    messages: tuple[Message, ...] = field(repr=lambda messages: f"<{len(messages)} messages>")
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    json_schema: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, prompt: Prompt) -> ChatRequest:
        """Return a request from a text, messages, mappings, or a request.

        Raises:
            TypeError: The prompt, or one of its messages, is of another type.
            ValueError: There is no message in it, or a message is malformed.
        """
        if isinstance(prompt, str):
            return cls(messages=(Message(role="user", content=prompt),))
        if isinstance(prompt, ChatRequest):
            return prompt
        if isinstance(prompt, Mapping) or not isinstance(prompt, Iterable):
            told = f"a prompt is text, a sequence of messages, or a ChatRequest, not {type(prompt).__name__}"
            raise TypeError(told)
        messages = tuple(map(Message.of, prompt))
        if not messages:
            told = "a prompt has at least one message"
            raise ValueError(told)
        return cls(messages=messages)

    # What every request or attempt needs is a copy of the dict: that takes half the time of a constructor's ten fields.

    def saying(self, text: str) -> ChatRequest:
        """Return the request with one message of the user's instead of its own."""
        message = Message.__new__(Message)
        fields = message.__dict__
        fields.update(FROM_USER)
        fields["content"] = text
        request = ChatRequest.__new__(ChatRequest)
        fields = request.__dict__
        fields.update(self.__dict__)
        fields["messages"] = (message,)
        return request

    def meant_for(self, model: str | None) -> ChatRequest:
        """Return the request for a model; None leaves it as it is."""
        if model is None or model == self.model:
            return self
        request = ChatRequest.__new__(ChatRequest)
        fields = request.__dict__
        fields.update(self.__dict__)
        fields["model"] = model
        return request

    def filled(self, temperature: float | None, max_tokens: int | None) -> ChatRequest:
        """Return the request with the temperature and the limit of tokens that it leaves open filled in."""
        if self.temperature is not None:
            temperature = self.temperature
        if self.max_tokens is not None:
            max_tokens = self.max_tokens
        if temperature == self.temperature and max_tokens == self.max_tokens:
            return self
        return evolve(self, temperature=temperature, max_tokens=max_tokens)

    @property
    def needs(self) -> frozenset[Capability]:
        """The capabilities without which this request cannot be served as it stands."""
        needs = NOTHING
        if self.tools:
            needs |= {Capability.TOOLS}
        if self.json_schema is not None:
            needs |= {Capability.JSON_SCHEMA}
        for message in self.messages:
            if message.images:
                return needs | {Capability.IMAGES}
        return needs


Prompt = str | Sequence[Message | Mapping[str, Any]] | ChatRequest
"""Whatever `ChatRequest.of` takes."""


@frozen(kw_only=True, slots=False)
class Reply:
    """A whole answer. ``str(reply)`` is its text.

    A provider's hook fills in the first group; the core adds the second.

    Attributes:
        text: The answer; empty only when the model calls tools.
        finish_reason: Why the model stopped.
        usage: Tokens, or None when the provider did not count.
        model: The model that really answered, in the provider's words.
        tool_calls: The calls that the model asks for.
        request_id: The provider's name for the request, or None.
        omitted: Names of request fields that this model does not take and that were left out.

        provider: The instance that answered.
        attempts: Every attempt of the request, this answer's last.
        skipped: Every target that was not tried, and why.
        fell_back: Whether the answer came from another than the first target that this request was meant for.
        last_resort: Whether every target rested, and this one was tried all the same.
        latency_s: Seconds from the call to the answer, all attempts and waits included.
        deadline_s: Seconds that the request might have taken.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage | None = None
    model: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    request_id: str | None = None
    omitted: tuple[str, ...] = ()

    provider: str = ""
    attempts: tuple[Attempt, ...] = ()
    skipped: tuple[Skip, ...] = ()
    fell_back: bool = False
    last_resort: bool = False
    latency_s: float = 0.0
    deadline_s: float | None = None

    def __str__(self) -> str:
        return self.text

    def completed(  # noqa: PLR0917  by position, since every request comes by here
        self,
        provider: str,
        model: str,
        attempts: tuple[Attempt, ...],
        skipped: tuple[Skip, ...],
        fell_back: bool,
        last_resort: bool,
        latency_s: float,
        deadline_s: float,
    ) -> Reply:
        """Return a provider's answer with what the core adds to it."""
        whole = Reply.__new__(Reply)  # as in `ChatRequest.saying`
        fields = whole.__dict__
        fields.update(self.__dict__)
        fields["provider"], fields["model"] = provider, model
        fields["attempts"], fields["skipped"] = attempts, skipped
        fields["fell_back"], fields["last_resort"] = fell_back, last_resort
        fields["latency_s"], fields["deadline_s"] = latency_s, deadline_s
        return whole

    def explain(self) -> str:
        """Return how this answer came about, in lines for a reader: what was tried and skipped, why, and when."""
        end = f"{self.attempts[-1].target if self.attempts else self.provider} answered"
        return explained(self.attempts, self.skipped, end=end, elapsed_s=self.latency_s, deadline_s=self.deadline_s)


@frozen(kw_only=True, slots=False)
class ReplyChunk:
    """A piece of a streamed answer.

    The last chunk of a whole answer has a finish reason; a stream that ends without one was cut. Usage,
    model, tool calls, request id and omissions may come with any chunk; the last that is set counts.

    Attributes:
        text: The text that this chunk adds; may be empty.
        finish_reason: Why the model stopped, in the last chunk only.
        usage: Tokens of the whole answer so far, when known.
        model: The model that really answers, when known.
        tool_calls: Calls that have become complete with this chunk, whole.
        request_id: The provider's name for the request, when known.
        omitted: As in `Reply`.
        restart: Set by the core in mode ``restart``: discard all that came before, another target starts over.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    model: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    request_id: str | None = None
    omitted: tuple[str, ...] = ()
    restart: bool = False
