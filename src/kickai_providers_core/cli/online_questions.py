"""One small question for each configured provider: ``kickai check-config --online``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from kickai_providers_core.cli.doctor_findings import find_targets
from kickai_providers_core.resolver import Resolver
from kickai_providers_core.values.errors import ChainExhaustedError, KickaiError
from kickai_providers_core.values.plain_text import format_count
from kickai_providers_core.values.targets import Target
from kickai_providers_core.values.validation import Number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kickai_providers_core.values.usage import Usage

__all__ = ["ANSWER_TOKENS", "Question", "QuestionResult", "ask_providers", "choose_questions"]

QUESTION = "Reply with the single word OK."

ANSWER_TOKENS = 64
"""The token limit of an answer; models that reason need more than the one word takes."""

MAX_CONCURRENT = 8


@frozen(kw_only=True)
class Question:
    """Which target is called.

    Attributes:
        target: The target: of an instance that roles call, the first one of theirs that names a model.
        is_needed: Whether a role calls the instance.
    """

    target: Target
    is_needed: bool


@frozen(kw_only=True)
class QuestionResult:
    """Whether a provider has answered.

    Attributes:
        question: What was asked.
        latency_s: Seconds until the answer or the error.
        model: The model that answered; empty when none did.
        usage: The tokens, as the service reported them.
        error: What failed; None for an answer.
    """

    question: Question
    latency_s: float = field(validator=Number(minimum=0))
    model: str = ""
    usage: Usage | None = None
    error: KickaiError | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.question.target}: {self._describe_error()} (after {self.latency_s:.1f} s)"
        tokens = ""
        if self.usage is not None:
            tokens = f", {format_count(self.usage.input_tokens, 'token')} in, {self.usage.output_tokens} out"
        return f"{self.question.target} in {self.latency_s:.1f} s{tokens}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        cause = self._cause
        return {
            "provider": self.question.target.provider,
            "model": self.model or self.question.target.model,
            "needed": self.question.is_needed,
            "ok": self.error is None,
            "latency_s": round(self.latency_s, 6),
            "usage": None if self.usage is None else self.usage.as_dict(),
            "error": None if cause is None else type(cause).__name__,
            "message": None if self.error is None else self._describe_error(),
        }

    @property
    def _cause(self) -> BaseException | None:
        """The error of the only attempt, or why there was none."""
        return self.error.exceptions[0] if isinstance(self.error, ChainExhaustedError) else self.error

    def _describe_error(self) -> str:
        cause = self._cause
        message = getattr(cause, "message", "") or str(cause)
        if type(cause) is KickaiError:  # it says which target was skipped, and why
            return message.removeprefix(f"{self.question.target}: ")
        return f"{type(cause).__name__}: {message}"


def choose_questions(resolver: Resolver) -> list[Question]:
    """Return a question for each instance that is configured, and that a role calls or the settings mention.

    The plugins may take a moment to validate their settings.
    """
    settings = resolver.settings
    first: dict[str, Target] = {}
    for targets in find_targets(settings).values():
        for target in targets:
            instance = resolver.registry.find(target.provider)
            if instance is not None and first.setdefault(instance.name, target).model is None:
                first[instance.name] = target
    mentioned = {path.split(".")[1].strip('"') for path in settings.sources if path.startswith("providers.")}
    return [
        Question(target=first.get(instance.name) or Target(instance.name), is_needed=instance.name in first)
        for instance in resolver.registry
        if (instance.name in first or instance.name in mentioned) and not instance.validation.find_problems()
    ]


async def ask_providers(
    resolver: Resolver, questions: Sequence[Question], timeout_s: float, on_answer: Callable[[QuestionResult], None]
) -> list[QuestionResult]:
    """Ask all questions at the same time, each once, and return the answers in the same order.

    Args:
        resolver: Has the settings, without a store, and the plugins. Another one asks, since this one may retry.
        questions: The questions.
        timeout_s: Seconds that each may take.
        on_answer: Called after each.
    """
    settings = resolver.settings
    instances = {instance.name: evolve(instance.settings, retries=0) for instance in resolver.registry}
    once = evolve(settings, providers=instances)
    semaphore = asyncio.Semaphore(MAX_CONCURRENT)

    async def ask(asker: Resolver, question: Question) -> QuestionResult:
        async with semaphore:
            answer = await _ask(asker, question, timeout_s)
        on_answer(answer)
        return answer

    async with Resolver(once, resolver.discovery) as asker:
        return await asyncio.gather(*(ask(asker, question) for question in questions))


async def _ask(asker: Resolver, question: Question, timeout_s: float) -> QuestionResult:
    chain = asker.chain(question.target, deadline_s=timeout_s, max_tokens=ANSWER_TOKENS)
    clock = asyncio.get_running_loop().time
    began_at = clock()
    try:
        reply = await chain.ainvoke(QUESTION)
    except KickaiError as error:
        return QuestionResult(question=question, latency_s=max(0.0, clock() - began_at), error=error)
    return QuestionResult(question=question, latency_s=reply.latency_s, model=reply.model, usage=reply.usage)
