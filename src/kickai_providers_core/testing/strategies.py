"""Hypothesis strategies for requests, replies and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from kickai_providers_core.values import errors
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.replies import FinishReason, Reply, ReplyChunk
from kickai_providers_core.values.requests import ChatRequest
from kickai_providers_core.values.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["chunks", "messages", "provider_errors", "replies", "requests", "usages"]

TEXTS = st.text(st.characters(exclude_categories=()), max_size=40)
"""Any text that Python can hold, lone surrogates included."""

LEAVES = (
    errors.RateLimitedError,
    errors.ProviderTimeoutError,
    errors.ProviderUnavailableError,
    errors.InvalidReplyError,
    errors.AuthenticationError,
    errors.QuotaExhaustedError,
    errors.ModelNotFoundError,
    errors.UnsupportedRequestError,
    errors.InvalidRequestError,
    errors.ContextLengthExceededError,
    errors.ContentFilteredError,
)


def messages() -> st.SearchStrategy[Message]:
    """Return a strategy for messages with text, of any role but a tool's."""
    return st.builds(Message, role=st.sampled_from(("system", "user", "assistant")), content=TEXTS)


def requests(*, model: str | None = None) -> st.SearchStrategy[ChatRequest]:
    """Return a strategy for requests that end with a user's words, resolved when a model is given."""
    users = st.builds(Message, role=st.just("user"), content=TEXTS.filter(bool))
    conversations = st.tuples(st.lists(messages(), max_size=3), users).map(lambda parts: (*parts[0], parts[1]))
    return st.builds(
        ChatRequest,
        messages=conversations,
        model=st.just(model),
        temperature=st.none() | st.floats(0.0, 2.0),
        max_tokens=st.none() | st.integers(1, 4096),
        stop=st.lists(st.text(min_size=1, max_size=5), max_size=2).map(tuple),
    )


def usages() -> st.SearchStrategy[Usage]:
    """Return a strategy for token counts."""
    return st.builds(Usage, input_tokens=st.integers(0, 10**6), output_tokens=st.integers(0, 10**6))


def replies() -> st.SearchStrategy[Reply]:
    """Return a strategy for whole answers with text, as a provider returns them."""
    return st.builds(
        Reply,
        text=TEXTS.filter(bool),
        finish_reason=st.sampled_from((FinishReason.STOP, FinishReason.LENGTH)),
        usage=st.none() | usages(),
        model=st.text(max_size=8),
    )


@st.composite
def chunks(draw: st.DrawFn, reply: Reply) -> tuple[ReplyChunk, ...]:
    """Return a strategy for the chunks of streams that make up one answer."""
    cuts = sorted(draw(st.lists(st.integers(0, len(reply.text)), max_size=4)))
    edges = zip([0, *cuts], [*cuts, len(reply.text)], strict=True)
    texts = [ReplyChunk(text=reply.text[begin:end]) for begin, end in edges]
    return (*texts, ReplyChunk(finish_reason=reply.finish_reason, usage=reply.usage, model=reply.model))


def provider_errors(
    kinds: Iterable[type[errors.ProviderError]] = LEAVES,
) -> st.SearchStrategy[errors.ProviderError]:
    """Return a strategy for the errors that a provider raises: of each class, with and without a delay."""
    return st.sampled_from(tuple(kinds)).flatmap(
        lambda kind: st.builds(kind, st.just("it failed"), retry_after_s=st.none() | st.floats(0.0, 3600.0))
    )
