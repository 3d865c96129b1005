"""``kickai check-config``: checks the settings, and asks each provider one question."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click

from kickai_providers_core.cli.check_runner import (
    build_findings_json,
    check_instances,
    load_settings,
    write_findings,
)
from kickai_providers_core.cli.common_options import shared_options, without_store
from kickai_providers_core.cli.doctor_findings import diagnose, sort_findings, to_finding
from kickai_providers_core.cli.online_questions import ANSWER_TOKENS, ask_providers, choose_questions
from kickai_providers_core.cli.parameter_types import FiniteNumber
from kickai_providers_core.cli.tracebacks import format_error
from kickai_providers_core.cli.unusable_settings import find_unusable_settings
from kickai_providers_core.resolver import Resolver
from kickai_providers_core.values.plain_text import format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core.cli.common_options import Session
    from kickai_providers_core.cli.online_questions import QuestionResult
    from kickai_providers_core.values.errors import Problem

__all__ = ["command"]

EPILOG = """\b
Examples:
  kickai check-config
  kickai check-config --online
  kickai check-config --online --json | jq '.answers[] | {provider, ok, latency_s}'
"""

TIMEOUT_S = 30.0


@click.command("check-config", epilog=EPILOG)
@click.option(
    "--online",
    is_flag=True,
    help="Ask each configured provider one question. It costs about 20 input tokens and at most "
    f"{ANSWER_TOKENS} output tokens at each of them.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=FiniteNumber(0, min_open=True),
    default=TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="Give up a question after this many seconds.",
)
@shared_options
@click.pass_obj
def command(session: Session, *, online: bool, timeout_s: float) -> int:
    """Check the settings, and with --online whether each provider answers.

    It checks the settings as kickai doctor does, but does not open the store. With --online, it calls each configured
    provider that a role calls or the settings mention: all at the same time, once, without retries and fallback. The
    store does not count these calls. The exit code is 1 when a check fails or a provider that a role calls does not
    answer, and 2 when the settings are invalid or cannot be used.
    """
    file, discovery, settings, findings = load_settings(session)
    unusable: list[Problem] = []
    answers: Sequence[QuestionResult] | None = None
    if settings is not None:
        with Resolver(without_store(settings), discovery) as resolver:
            session.mask_keys(settings)
            results = check_instances(resolver, session, online=False)
            unusable = list(find_unusable_settings(settings, discovery, os.environ))
            found = [*diagnose(settings, discovery, results), *map(to_finding, unusable)]
            findings = sort_findings(found)
            if online:
                answers = _ask(session, resolver, timeout_s)
    if session.debug:
        for error in discovery.errors():
            session.console.log_block(format_error(error, ()))
    failed = [answer for answer in answers or () if answer.error is not None and answer.question.is_needed]
    if session.as_json:
        own = build_findings_json(file, findings, online=online)
        rows = None if answers is None else [answer.as_dict() for answer in answers]
        session.console.write_json({**own, "ok": own["ok"] and not failed, "answers": rows})
    else:
        write_findings(session, file, findings)
        _write_answers(session, answers)
    if settings is None or any(problem.severity == "error" for problem in unusable):
        return 2
    return 1 if failed or any(finding.severity == "error" for finding in findings) else 0


def _ask(session: Session, resolver: Resolver, timeout_s: float) -> list[QuestionResult]:
    questions = choose_questions(resolver)
    finished = 0

    def report(_answer: QuestionResult) -> None:
        nonlocal finished
        finished += 1
        session.console.set_status(_describe_progress(finished, len(questions)))

    with session.console.spinner():
        session.console.set_status(_describe_progress(0, len(questions)))
        return asyncio.run(ask_providers(resolver, questions, timeout_s, report))


def _describe_progress(finished: int, total: int) -> str:
    return f"asking: {finished} of {format_count(total, 'provider')} done"


def _write_answers(session: Session, answers: Sequence[QuestionResult] | None) -> None:
    if answers is None:
        return
    write = session.console.write_line
    for answer in answers:
        if answer.error is None:
            write(f"{click.style('answered', fg='green')} {answer}")
        else:
            write(f"{click.style('failed  ', fg='red' if answer.question.is_needed else 'yellow')} {answer}")
    count = sum(answer.error is None for answer in answers)
    write(f"{count} of {format_count(len(answers), 'provider')} answered")
