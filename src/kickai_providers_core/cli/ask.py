"""``kickai ask``: answers a prompt through a chain of providers."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from logging.handlers import BufferingHandler
from typing import TYPE_CHECKING

import click
from attrs import frozen

from kickai_providers_core.cli import json_output
from kickai_providers_core.cli.common_options import shared_options
from kickai_providers_core.cli.parameter_types import FiniteNumber, parse_targets
from kickai_providers_core.cli.prompt_input import read_prompt, require_utf8
from kickai_providers_core.cli.request_progress import ProgressReporter, Verbosity
from kickai_providers_core.cli.roles import warn_of_unknown_role
from kickai_providers_core.cli.tracebacks import format_error
from kickai_providers_core.cli.uncalled_providers import describe_uncalled, describe_unused_presets
from kickai_providers_core.config.roles import MAX_TEMPERATURE
from kickai_providers_core.values.errors import ChainExhaustedError, DeadlineExceededError, ProviderError
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.replies import FinishReason
from kickai_providers_core.values.requests import ChatRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.chain import Chain
    from kickai_providers_core.cli.common_options import Session
    from kickai_providers_core.plugin_api.hookspecs import Progress
    from kickai_providers_core.resolver import Resolver
    from kickai_providers_core.runtime.streaming import StreamMode
    from kickai_providers_core.values.replies import Reply
    from kickai_providers_core.values.targets import Target

__all__ = ["command"]

MAX_WARNINGS = 1000
"""The most warnings of plugins that are kept until the command succeeds or fails."""

BAR_WIDTH = 24
"""The columns of a progress bar."""

EPILOG = """\b
Examples:
  kickai ask "Who can play on Saturday?"
  kickai ask --role squad_selector --stream < availability.txt
  kickai ask --chain huggingface:Qwen/Qwen2.5-7B-Instruct,gemini,local "Hello"
  kickai ask --json "Hello" | jq -r .provider
"""


@frozen(kw_only=True)
class _Options:
    """The options that say how to answer."""

    role: str | None
    targets: tuple[Target, ...]
    mode: StreamMode | None
    deadline_s: float | None
    verbosity: Verbosity
    explain: bool


@click.command("ask", epilog=EPILOG)
@click.argument("words", metavar="[PROMPT]", nargs=-1)
@click.option("--role", metavar="ROLE", help="Use this role: its models, temperature and token limit.")
@click.option(
    "--chain",
    "targets",
    metavar="TARGET,…",
    callback=parse_targets,
    help="Call these targets in this order, each INSTANCE or INSTANCE:MODEL.",
)
@click.option("--stream", is_flag=True, help="Print the answer as it arrives.")
@click.option(
    "--mode",
    type=click.Choice(["live", "restart", "buffered"]),
    help="If a stream breaks off, live fails, and restart starts over at the next target; buffered prints "
    "nothing until the answer is complete. Implies --stream.  [default: live]",
)
@click.option("--system", metavar="TEXT", help="Put this system message before the prompt.")
@click.option(
    "--temperature",
    type=FiniteNumber(0, MAX_TEMPERATURE),
    help="Use this temperature, from 0 to 2, instead of the role's.",
)
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Limit the answer to N tokens.")
@click.option(
    "--deadline",
    type=FiniteNumber(0, min_open=True),
    metavar="SECONDS",
    help="Fail when there is no answer after this many seconds.",
)
@click.option("--explain", is_flag=True, help="Print at the end which targets were called or skipped, when and why.")
@click.option("-q", "--quiet", "verbosity", flag_value="quiet", help="Print only the answer and errors.")
@click.option("-v", "--verbose", "verbosity", flag_value="verbose", help="Print every step.")
@shared_options
@click.pass_obj
def command(
    session: Session,
    *,
    words: tuple[str, ...],
    role: str | None,
    targets: tuple[Target, ...],
    stream: bool,
    mode: StreamMode | None,
    system: str | None,
    temperature: float | None,
    max_tokens: int | None,
    deadline: float | None,
    explain: bool,
    verbosity: Verbosity | None,
) -> None:
    """Answer PROMPT, or standard input, through a chain of providers.

    The first target of the chain that can answer is used. Without --role and --chain, the chain is the primary provider
    of the settings followed by its fallbacks. With both, the role sets temperature and token limit, and --chain the
    targets.

    The answer goes to standard output. If the first attempt fails, each step is reported on standard error.
    """
    system_message = [Message(role="system", content=require_utf8(system, "the system message"))] if system else []
    request = ChatRequest(
        messages=(*system_message, Message(role="user", content=read_prompt(words))),
        temperature=temperature,
        max_tokens=max_tokens,
    )
    session.prompts = tuple(message.content for message in request.messages)
    options = _Options(
        role=role,
        targets=targets,
        mode=mode or ("live" if stream else None),
        deadline_s=deadline,
        verbosity=verbosity or "normal",
        explain=explain,
    )
    try:
        if options.verbosity == "quiet":
            with _hold_back_plugin_warnings(session):
                _ask(session, request, options)
        else:
            _ask(session, request, options)
    except (ProviderError, DeadlineExceededError, ChainExhaustedError) as error:
        if options.explain:
            session.console.end_line()
            session.console.log_block(error.explain())
        raise


@contextmanager
def _hold_back_plugin_warnings(session: Session) -> Iterator[None]:
    """Show warnings for the developers of plugins only when the command fails."""
    logger, handler = logging.getLogger("kickai_providers_core"), BufferingHandler(MAX_WARNINGS)
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    except Exception:
        for record in handler.buffer:
            session.console.warn(record.getMessage())
        raise
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


def _ask(session: Session, request: ChatRequest, options: _Options) -> None:
    console = session.console
    reporter = ProgressReporter(console.log, console.set_status, options.verbosity)
    with session.resolver([reporter]) as resolver:
        chain = _build_chain(resolver, options)
        if options.verbosity != "quiet":
            session.steps_shown = True
            _log_warnings(session, resolver, options)
        if options.verbosity == "verbose":
            console.log(f"chain: {' → '.join(chain.targets)}", "bright_black")
        try:
            with console.spinner():
                _prepare(session, chain, options)
                if options.mode:
                    reply = _stream(session, chain, request, options)
                else:
                    reply = chain.invoke(request, deadline_s=options.deadline_s)
        except ChainExhaustedError as error:
            if not error.attempts and not options.targets:
                called = {target.partition(":")[0] for target in chain.targets}
                for line in (
                    *describe_uncalled(resolver, called),
                    *describe_unused_presets(resolver.registry, os.environ),
                ):
                    console.log(line)
            raise
    _write_reply(session, reply, options)


def _write_reply(session: Session, reply: Reply, options: _Options) -> None:
    """Write the answer, unless its chunks were written, and log what belongs to it."""
    console = session.console
    if session.as_json:
        console.write_json(json_output.from_reply(reply))
    elif not _prints_chunks(session, options):
        console.write_answer(reply.text)
    console.end_line()
    if session.debug:
        for attempt in reply.attempts:
            if attempt.error is not None:
                console.log_block(format_error(attempt.error, session.prompts))
    if options.verbosity != "quiet":
        _log_remarks(session, reply, options.verbosity)
    if options.explain:
        console.log_block(reply.explain())


def _prepare(session: Session, chain: Chain, options: _Options) -> None:
    """Prepare the first target, if its settings ask for that, and show the progress."""
    console = session.console
    status = ""
    try:
        for progress in chain.prepare():
            console.set_status(_format_progress(progress))
            if progress.status != status and options.verbosity != "quiet":
                console.log(progress.status, "bright_black")
            status = progress.status
    except ProviderError as error:
        console.log(f"{type(error).__name__}: {error.message}", "yellow")


def _format_progress(progress: Progress) -> str:
    """Return what is being done, with a bar and a share when the total is known."""
    if not progress.total:
        return progress.status
    done = round(BAR_WIDTH * progress.completed / progress.total)
    return f"{progress.status} {'━' * done}{'─' * (BAR_WIDTH - done)} {progress}"


def _build_chain(resolver: Resolver, options: _Options) -> Chain:
    if not options.targets:
        return resolver.for_role(options.role)
    if options.role is None:
        return resolver.chain(*options.targets)
    role = resolver.settings.role(options.role)
    return resolver.chain(*options.targets, temperature=role.temperature, max_tokens=role.max_tokens)


def _stream(session: Session, chain: Chain, request: ChatRequest, options: _Options) -> Reply:
    """Return the answer, and write its chunks as they arrive where that is possible."""
    console = session.console
    with chain.stream(request, mode=options.mode or "live", deadline_s=options.deadline_s) as stream:
        for chunk in stream:
            if session.as_json:
                if chunk.text or chunk.restart:
                    console.write_json(json_output.from_chunk(chunk))
            elif chunk.restart and console.is_terminal:
                console.end_line()
                console.log("starting over: ignore the text above", "yellow")
            elif _prints_chunks(session, options):
                console.write_answer(chunk.text)
        if stream.reply is None:
            message = "a stream ended without a reply and without an error"
            raise RuntimeError(message)
        return stream.reply


def _prints_chunks(session: Session, options: _Options) -> bool:
    """Return whether chunks are written as they arrive.

    A file or a pipe cannot discard what was written: if the answer may start over, it is written when it is complete.
    """
    return options.mode is not None and (options.mode != "restart" or session.console.is_terminal)


def _log_warnings(session: Session, resolver: Resolver, options: _Options) -> None:
    """Log warnings about settings that were written by the user, about the targets, and about the role."""
    settings = resolver.settings
    session.log_warnings(settings)
    for target in options.targets:
        if target.model is not None and (successor := settings.find_successor(target.model)) != target.model:
            session.console.warn(f"{target.model} is retired; {successor} is called instead")
    if options.role is not None:
        warn_of_unknown_role(session, settings, options.role)


def _log_remarks(session: Session, reply: Reply, verbosity: Verbosity) -> None:
    """Log what the answer itself does not show."""
    console = session.console
    if reply.finish_reason is FinishReason.LENGTH:
        is_fixed = "max_tokens" in reply.omitted
        advice = f"{reply.provider} accepts no other limit" if is_fixed else "use --max-tokens to raise it"
        console.warn(f"the answer was cut off at its token limit; {advice}")
    if reply.tool_calls:
        names = ", ".join(call.name for call in reply.tool_calls)
        console.log(f"the model wants to call {names}; use --json to see the arguments", "yellow")
    if reply.omitted and verbosity == "verbose":
        console.log(f"omitted, because the model does not support it: {', '.join(reply.omitted)}", "bright_black")
