"""``kickai batch``: answers a file of requests, in the form of OpenAI's batch API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve, frozen

from kickai_providers_core.batching import run_concurrently
from kickai_providers_core.cli import json_output
from kickai_providers_core.cli.batch_format import format_error_line, format_reply, parse_custom_id, parse_line
from kickai_providers_core.cli.batch_progress import BatchBar
from kickai_providers_core.cli.batch_results import BatchResults, ResultsError
from kickai_providers_core.cli.common_options import shared_options
from kickai_providers_core.cli.parameter_types import FiniteNumber, parse_targets
from kickai_providers_core.cli.roles import warn_of_unknown_role
from kickai_providers_core.values.call_options import BATCH_CONCURRENCY
from kickai_providers_core.values.errors import ArgumentTypeError, ArgumentValueError, KickaiError
from kickai_providers_core.values.plain_text import format_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.chain import Chain
    from kickai_providers_core.cli.common_options import Session
    from kickai_providers_core.resolver import Resolver
    from kickai_providers_core.values.targets import Target

__all__ = ["command"]

EPILOG = """\b
Examples:
  kickai batch prompts.jsonl answers.jsonl
  kickai batch --role squad_selector --concurrency 20 prompts.jsonl answers.jsonl
  kickai batch --retry-failed prompts.jsonl answers.jsonl
"""


@frozen(kw_only=True)
class _Options:
    """The options of a run."""

    source: Path
    target: Path
    role: str | None
    targets: tuple[Target, ...]
    concurrency: int
    deadline_s: float | None
    uses_models: bool


@click.command("batch", epilog=EPILOG)
@click.argument("source", metavar="IN.jsonl", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", metavar="OUT.jsonl", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--role", metavar="ROLE", help="Use this role: its models, temperature and token limit.")
@click.option(
    "--chain",
    "targets",
    metavar="TARGET,…",
    callback=parse_targets,
    help="Call these targets in this order, each INSTANCE or INSTANCE:MODEL.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    default=BATCH_CONCURRENCY,
    show_default=True,
    metavar="N",
    help="Send N requests at a time.",
)
@click.option(
    "--deadline",
    "deadline_s",
    type=FiniteNumber(0, min_open=True),
    metavar="SECONDS",
    help="Give up a request after this many seconds.",
)
@click.option("--use-models", "uses_models", is_flag=True, help="Call the model that each line names.")
@click.option("--retry-failed", is_flag=True, help="Send requests again that failed in an earlier run.")
@shared_options
@click.pass_obj
def command(session: Session, /, *, retry_failed: bool, **options: Any) -> int:
    """Answer each request of IN.jsonl through a chain of providers, and append the results to OUT.jsonl.

    Both files have the format of OpenAI's batch API. --role and --chain choose the chain as in kickai ask. Results are
    written as they arrive, in any order. To continue after an interruption, run the same command again: requests that
    have a result in OUT.jsonl are not sent again.
    """
    run = _Options(**options)
    if run.target.exists() and run.target.samefile(run.source):
        raise click.UsageError("IN.jsonl and OUT.jsonl must be different files.")
    results = BatchResults(run.target)
    began = monotonic()
    try:
        results.open(drop_failed=retry_failed)
        earlier = results.count
        with session.resolver() as resolver:
            session.log_ignored_files(resolver)
            asyncio.run(_answer_all(session, resolver, run, results))
    except ResultsError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or run.target}: {error.strerror}") from None
    except KeyboardInterrupt:
        session.console.log(f"{format_count(results.count, 'result')} kept: run the same command to go on")
        raise
    finally:
        results.close()
    return _report(session, run, results, earlier, monotonic() - began)


async def _answer_all(session: Session, resolver: Resolver, run: _Options, results: BatchResults) -> None:
    """Answer every request without a result, and close the resolver on this event loop."""
    async with resolver:
        chain = _build_chain(session, resolver, run)
        with run.source.open("rb") as lines:
            total = sum(1 for line in lines if line.strip())
        with BatchBar(session.console, total, results) as bar, run.source.open("rb") as lines:

            async def answer(numbered: tuple[int, bytes]) -> None:
                await _answer(chain, run, results, *numbered)
                bar.update()

            await run_concurrently(_find_pending(lines, results), answer, run.concurrency)
            await results.finish()


def _build_chain(session: Session, resolver: Resolver, run: _Options) -> Chain:
    if run.role is not None:
        warn_of_unknown_role(session, resolver.settings, run.role)
    if not run.targets:
        return resolver.for_role(run.role)
    if run.role is None:
        return resolver.chain(*run.targets)
    role = resolver.settings.role(run.role)
    return resolver.chain(*run.targets, temperature=role.temperature, max_tokens=role.max_tokens)


def _find_pending(lines: Any, results: BatchResults) -> Iterator[tuple[int, bytes]]:
    """Yield each line without a result, with its number."""
    for number, line in enumerate(lines, 1):
        if line.strip() and not results.has(number, parse_custom_id(line)):
            yield number, line


async def _answer(chain: Chain, run: _Options, results: BatchResults, number: int, line: bytes) -> None:
    """Ask one request, and write its result."""
    custom_id = parse_custom_id(line)
    try:
        parsed = parse_line(number, line)
        del line
        request = evolve(parsed.request, model=parsed.model) if run.uses_models else parsed.request
        reply = await chain.ainvoke(request, deadline_s=run.deadline_s)
    except KickaiError as error:
        is_malformed = isinstance(error, ArgumentTypeError | ArgumentValueError)
        code = "invalid_request" if is_malformed else type(error).__name__
        result = format_error_line(number, custom_id, code, json_output.get_message(error))
    else:
        result = format_reply(number, parsed.custom_id, reply, int(time()))
        results.write(number, custom_id, result, is_answer=True)
        return
    results.write(number, custom_id, result, is_answer=False)


def _report(session: Session, run: _Options, results: BatchResults, earlier: int, elapsed_s: float) -> int:
    """Write the summary, and return the exit code."""
    if session.as_json:
        session.console.write_json(
            {
                "output": str(run.target),
                "requests": results.count,
                "answered": results.answered,
                "failed": results.failed,
                "earlier": earlier,
                "elapsed_s": round(elapsed_s, 3),
            }
        )
    summary = (
        f"{format_count(results.answered, 'answer')} and {format_count(results.failed, 'failure')} in {run.target}"
    )
    hint = " (--retry-failed asks them again)" if results.failed else ""
    session.console.log(f"{summary}{hint}", "yellow" if results.failed else "green")
    return 1 if results.failed else 0
