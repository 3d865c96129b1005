"""Conversations as one text, for servers that only complete text.

Two templates. ``transcript`` is for base models, which know no chat format::

    System: You keep the team's calendar.

    User: Who can play on Saturday?

    Assistant:

``chatml`` is for models that were taught OpenAI's Chat Markup Language (Qwen, SmolLM and others)::

    <|im_start|>system
    You keep the team's calendar.<|im_end|>
    <|im_start|>user
    Who can play on Saturday?<|im_end|>
    <|im_start|>assistant

No message can pass for another's: a line of a transcript's message that begins like a turn is indented by one space,
and the markers of ChatML are taken apart by one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kickai_providers_core import Message

__all__ = ["BY_NAME", "TextTemplate", "without_system"]

_TURN = re.compile(r"^(System|User|Assistant):", re.MULTILINE | re.IGNORECASE)
_MARKER = re.compile(r"<\|(im_start|im_end|endoftext)\|>")


@frozen
class TextTemplate:
    """One way to write a conversation down.

    Attributes:
        render: From the messages, oldest first, to the text that the model is to go on with.
        stop: Texts at which the model has begun a turn that is not its own.
    """

    render: Callable[[Sequence[Message]], str]
    stop: tuple[str, ...]


def _transcript(messages: Sequence[Message]) -> str:
    turns = (m.role.capitalize() + ": " + _TURN.sub(r" \g<0>", m.content) for m in messages)
    return "\n\n".join((*turns, "Assistant:"))


def _chatml(messages: Sequence[Message]) -> str:
    turns = (f"<|im_start|>{m.role}\n" + _MARKER.sub(r"<| \1|>", m.content) + "<|im_end|>\n" for m in messages)
    return "".join((*turns, "<|im_start|>assistant\n"))


BY_NAME = {
    "transcript": TextTemplate(_transcript, ("\nUser:", "\nSystem:")),
    "chatml": TextTemplate(_chatml, ("<|im_end|>", "<|im_start|>")),
}
"""The templates by the name that a setting gives them."""


def without_system(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the conversation with its system messages put before the first of the user's, for models without the role.

    Google says the same of Gemma: "provide the instruction in the user's prompt" (https://ai.google.dev/gemma/docs).
    """
    system = [m.content for m in messages if m.role == "system"]
    rest = [m for m in messages if m.role != "system"]
    first = next((number for number, m in enumerate(rest) if m.role == "user"), None)
    if not system or first is None:
        return messages
    joined = "\n\n".join([*system, rest[first].content])
    return [*rest[:first], evolve(rest[first], content=joined), *rest[first + 1 :]]
