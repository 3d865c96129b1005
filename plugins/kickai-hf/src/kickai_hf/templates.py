"""Prompt templates: a conversation as one text, for servers that only complete text.

``transcript`` is for base models, which have learned no chat format::

    System: You keep the team's calendar.

    User: Who can play on Saturday?

    Assistant:

``chatml`` is for models trained on OpenAI's Chat Markup Language (Qwen, SmolLM and others)::

    <|im_start|>system
    You keep the team's calendar.<|im_end|>
    <|im_start|>user
    Who can play on Saturday?<|im_end|>
    <|im_start|>assistant

A message cannot imitate a turn of another role: a line that begins like a turn of a transcript is indented by one
space, and a marker of ChatML gets a space inside.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kickai_providers_core import Message

__all__ = ["TEMPLATES", "PromptTemplate", "fold_system_messages", "has_system_role"]

_TURN = re.compile(r"^(System|User|Assistant):", re.MULTILINE | re.IGNORECASE)
_MARKER = re.compile(r"<\|(im_start|im_end|endoftext)\|>")


@frozen
class PromptTemplate:
    """One way to write a conversation as text.

    Attributes:
        render: Returns the prompt for messages, the oldest first.
        stop: Texts with which the model begins a turn of another role.
    """

    render: Callable[[Sequence[Message]], str]
    stop: tuple[str, ...]


def _render_transcript(messages: Sequence[Message]) -> str:
    turns = (m.role.capitalize() + ": " + _TURN.sub(r" \g<0>", m.content) for m in messages)
    return "\n\n".join((*turns, "Assistant:"))


def _render_chatml(messages: Sequence[Message]) -> str:
    turns = (f"<|im_start|>{m.role}\n" + _MARKER.sub(r"<| \1|>", m.content) + "<|im_end|>\n" for m in messages)
    return "".join((*turns, "<|im_start|>assistant\n"))


TEMPLATES = {
    "transcript": PromptTemplate(_render_transcript, ("\nUser:", "\nSystem:")),
    "chatml": PromptTemplate(_render_chatml, ("<|im_end|>", "<|im_start|>")),
}
"""The templates by the value of the setting ``template``."""

_WITHOUT_SYSTEM_ROLE = ("google/gemma-2-", "google/gemma-1", "google/gemma-2b", "google/gemma-7b")
"""Gemma before its third version: the chat template raises "System role not supported"."""


def has_system_role(model: str | None) -> bool:
    """Return whether a model accepts system messages; True when it is unknown."""
    return model is None or not model.lower().startswith(_WITHOUT_SYSTEM_ROLE)


def fold_system_messages(messages: Sequence[Message]) -> Sequence[Message]:
    """Return a conversation with the system messages in the first user message, for models without a system role.

    Google recommends it for Gemma: "provide the instruction in the user's prompt" (https://ai.google.dev/gemma/docs).
    """
    system = [m.content for m in messages if m.role == "system"]
    rest = [m for m in messages if m.role != "system"]
    first = next((number for number, m in enumerate(rest) if m.role == "user"), None)
    if not system or first is None:
        return messages
    joined = "\n\n".join([*system, rest[first].content])
    return [*rest[:first], evolve(rest[first], content=joined), *rest[first + 1 :]]
