"""The tracebacks of ``--debug``: where each error was raised and its message, without prompts."""

from __future__ import annotations

import json
import re
import traceback
from typing import TYPE_CHECKING, Any

from kickai_providers_core.plugin_api.isolation import describe_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["format_error"]

WINDOW = 16
"""A message with this many consecutive characters of a prompt, not counting punctuation and spaces, is not shown."""

MAX_ERRORS = 50
"""The most exceptions that are shown."""

SEPARATORS = re.compile(r"[\W_]+")


def format_error(error: BaseException, prompts: Iterable[str]) -> str:
    """Return an exception and its causes, the first cause first, as text of several lines.

    Args:
        error: The exception.
        prompts: Text that must not be shown. Frames have no source lines and no variables, and a message that contains
            a part of a prompt is left out.
    """
    forms = [
        _normalize(form) for prompt in prompts for form in (prompt, repr(prompt), json.dumps(prompt)) if prompt.strip()
    ]
    return "\n".join(line for each in _with_causes(error) for line in _format(each, forms))


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the causes of an exception, the first cause first, and the exception; each once."""
    seen: dict[int, BaseException] = {}
    waiting = [error]
    while waiting and len(seen) < MAX_ERRORS:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen[id(each)] = each
        attempts: Any = getattr(each, "attempts", ())
        causes: list[Any] = [getattr(attempt, "error", None) for attempt in attempts]
        causes += getattr(each, "exceptions", ())
        causes.append(each.__cause__ or (None if each.__suppress_context__ else each.__context__))
        waiting += [cause for cause in causes if isinstance(cause, BaseException)]
    yield from reversed(seen.values())


def _format(error: BaseException, forms: list[str]) -> Iterator[str]:
    text = describe_error(error)
    kind, _, message = text.partition(": ")
    if message and _contains_prompt(_normalize(message), forms):
        text = f"{kind}: (not shown, because the message contains a part of the prompt)"
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        yield "Traceback (most recent call last):"
    for frame in frames:
        yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
    yield text


def _normalize(text: str) -> str:
    return SEPARATORS.sub("", text).casefold()


def _contains_prompt(message: str, forms: Iterable[str]) -> bool:
    """Return whether a message contains a prompt, or a part of one that is too long to be a coincidence."""
    for form in forms:
        if len(form) <= WINDOW:
            if form and form in message:
                return True
        elif any(message[at : at + WINDOW] in form for at in range(max(0, len(message) - WINDOW + 1))):
            return True
    return False
