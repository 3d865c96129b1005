"""Haystack: two chat generators with constant answers, in a ``FallbackChatGenerator``."""

from __future__ import annotations

import logging
from typing import Any

from haystack import component
from haystack.components.generators.chat.fallback import FallbackChatGenerator
from haystack.dataclasses import ChatMessage
from measuring import PROMPT, report

logging.getLogger("haystack").setLevel(logging.ERROR)


@component
class Answers:
    """Answers at once, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails

    @component.output_types(replies=list[ChatMessage])
    def run(self, messages: list[ChatMessage], **_kwargs: Any) -> dict[str, Any]:  # noqa: ARG002
        """Answer, or fail."""
        if self.fails:
            raise TimeoutError("no answer in time")
        return {"replies": [ChatMessage.from_assistant("Ann")]}


model = Answers()
healthy = FallbackChatGenerator([model, Answers()])
falling = FallbackChatGenerator([Answers(fails=True), Answers()])
assert falling.run(PROMPT)["replies"][0].text == "Ann"
report(
    {
        "bare": lambda: model.run([ChatMessage.from_user(PROMPT)]),
        "healthy": lambda: healthy.run(PROMPT),
        "first fails": lambda: falling.run(PROMPT),
    }
)
