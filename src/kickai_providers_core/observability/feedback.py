"""Feedback: an application rates an answer, which it has or whose request id it remembers."""

from __future__ import annotations

import re
from array import array
from itertools import count
from typing import TYPE_CHECKING

from attrs import frozen

from kickai_providers_core.values.base_errors import ArgumentValueError
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.events import RequestEnded
from kickai_providers_core.values.feedback_events import FeedbackGiven
from kickai_providers_core.values.replies import Reply
from kickai_providers_core.values.validation import quote, raise_argument_error

if TYPE_CHECKING:
    from kickai_providers_core.values.events import Event

__all__ = ["REMEMBERED", "RecentAnswers", "build_feedback"]

REMEMBERED = 10_000
"""How many of the latest answers are remembered by their request ids."""

MAX_SOURCES = 1_000
"""How many combinations of provider, model, role and arm are shared by the answers that are remembered."""

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
"""What feedback may be called."""


@frozen(eq=False, repr=False)
class _Source(Value):
    """Who gave an answer, and for whom."""

    provider: str
    model: str
    role: str | None
    arm: str | None


class RecentAnswers:
    """Remembers who gave the latest answers: an observer of `RequestEnded`. Safe to use from any thread.

    It keeps 64-bit hashes of the ids in a ring of 160 kB. That an unknown id has one of them is as good as impossible.
    """

    def __init__(self) -> None:
        self._numbers = count()
        self._hashes = array("q", bytes(8 * REMEMBERED))
        self._found: list[_Source | None] = [None] * REMEMBERED
        self._sources: dict[tuple[str, str, str | None, str | None], _Source] = {}

    def observe(self, event: Event) -> None:
        """Remember the answer of a request."""
        if not isinstance(event, RequestEnded) or event.request_id is None:
            return
        key = (event.provider, event.model, event.role, event.arm)
        source = self._sources.get(key)
        if source is None:
            if len(self._sources) >= MAX_SOURCES:
                self._sources.clear()
            source = self._sources[key] = _Source(*key)
        place = next(self._numbers) % REMEMBERED
        self._found[place] = None  # a reader must not find the new source under the old id
        self._hashes[place] = hash(event.request_id)
        self._found[place] = source

    def find(self, request_id: str) -> _Source | None:
        """Return who gave an answer; None if it is unknown or too old."""
        try:
            place = self._hashes.index(hash(request_id))
        except ValueError:
            return None
        return self._found[place]


def build_feedback(answer: Reply | str, recent: RecentAnswers, *, ok: bool, name: str) -> FeedbackGiven:
    """Return the event of an application's rating.

    Args:
        answer: A reply of a chain, or its request id.
        recent: Finds the reply of an id.
        ok: Whether it is good.
        name: What is rated: a lower-case letter, then up to 39 lower-case letters, digits, ``_`` and ``-``.

    Raises:
        ArgumentTypeError: An argument has the wrong type.
        ArgumentValueError: The name is malformed, the id is not one of the latest, or the reply is not from a chain.
    """
    if not isinstance(ok, bool):
        raise_argument_error("ok", "True or False", quote(ok))
    if not isinstance(name, str):
        raise_argument_error("name", "a string", quote(name))
    if not NAME.fullmatch(name):
        message = f"name must be a lower-case letter, then at most 39 of a-z, 0-9, _ and -, got {quote(name)}"
        raise ArgumentValueError(message)
    source = _find_source(answer, recent)
    return FeedbackGiven(0, source.role, source.provider, source.model, name, ok, arm=source.arm)


def _find_source(answer: Reply | str, recent: RecentAnswers) -> _Source:
    if isinstance(answer, Reply):
        if not answer.provider:
            message = "the reply must come from a chain, got one without a provider"
            raise ArgumentValueError(message)
        return _Source(answer.provider, answer.model, answer.trace.role, answer.trace.arm)
    if not isinstance(answer, str):
        raise_argument_error("the rated answer", "a Reply or a request id", quote(answer))
    source = recent.find(answer)
    if source is None:
        message = (
            f"the request id must be one of the last {REMEMBERED:,} answered requests of this process, got "
            f"{quote(answer)}; pass the reply itself if you have it"
        )
        raise ArgumentValueError(message)
    return source
