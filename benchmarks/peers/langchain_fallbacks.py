"""LangChain: two chat models with constant answers, joined by ``with_fallbacks``."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from measuring import PROMPT, report


class Answers(BaseChatModel):
    """Answers at once, or fails."""

    fails: bool = False

    @property
    def _llm_type(self) -> str:
        return "answers"

    def _generate(self, *_args: Any, **_kwargs: Any) -> ChatResult:
        if self.fails:
            raise TimeoutError("no answer in time")
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content="Ann"))])


model, failing, other = Answers(), Answers(fails=True), Answers()
healthy, falling = model.with_fallbacks([other]), failing.with_fallbacks([other])
assert falling.invoke(PROMPT).content == "Ann"
report(
    {
        "bare": lambda: model.invoke(PROMPT),
        "healthy": lambda: healthy.invoke(PROMPT),
        "first fails": lambda: falling.invoke(PROMPT),
    }
)
