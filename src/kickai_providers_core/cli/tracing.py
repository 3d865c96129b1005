"""What ``--debug`` shows of an exception: where each was raised and what it says, without the prompt."""

from __future__ import annotations

import json
import re
import traceback
from typing import TYPE_CHECKING, Any

from kickai_providers_core.plugin_api.isolation import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["trace"]

WINDOW = 16
"""A message that has this many characters of a prompt in a row, not counting punctuation and blanks, is not shown."""

MOST_ERRORS = 50
"""The most exceptions of one chain of causes that are shown."""

NOISE = re.compile(r"[\W_]+")


def trace(error: BaseException, prompts: Iterable[str]) -> str:
    """Return an exception and all that led to it, one after another, as text of several lines.

    Args:
        error: The exception.
        prompts: What must not be in the text. Frames are shown without their source lines and variables, and a message
            that has a part of a prompt in it is left out.
    """
    forms = [_bare(form) for prompt in prompts for form in (prompt, repr(prompt), json.dumps(prompt)) if prompt.strip()]
    return "\n".join(line for each in _all_of(error) for line in _lines(each, forms))


def _all_of(error: BaseException) -> Iterator[BaseException]:
    """Yield what led to an exception, the first cause first; a cycle ends."""
    seen: dict[int, BaseException] = {}
    waiting = [error]
    while waiting and len(seen) < MOST_ERRORS:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen[id(each)] = each
        attempts: Any = getattr(each, "attempts", ())
        led: list[Any] = [getattr(attempt, "error", None) for attempt in attempts]
        led += getattr(each, "exceptions", ())
        led.append(each.__cause__ or (None if each.__suppress_context__ else each.__context__))
        waiting += [one for one in led if isinstance(one, BaseException)]
    yield from reversed(seen.values())


def _lines(error: BaseException, forms: list[str]) -> Iterator[str]:
    said = describe(error)
    message = said.partition(": ")[2]
    if message and _holds(_bare(message), forms):
        said = f"{said.partition(': ')[0]}: (not shown: the message has a part of the prompt in it)"
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        yield "Traceback (most recent call last):"
    for frame in frames:
        yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
    yield said


def _bare(text: str) -> str:
    return NOISE.sub("", text).casefold()


def _holds(message: str, forms: Iterable[str]) -> bool:
    """Return whether a message has a prompt in it, or so much of one that it cannot be chance."""
    for form in forms:
        if len(form) <= WINDOW:
            if form and form in message:
                return True
        elif any(message[at : at + WINDOW] in form for at in range(max(0, len(message) - WINDOW + 1))):
            return True
    return False
