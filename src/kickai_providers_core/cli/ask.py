"""``kickai ask``: answer a prompt through a chain of providers."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from logging.handlers import BufferingHandler
from typing import TYPE_CHECKING

import click
from attrs import frozen

from kickai_providers_core.cli import records
from kickai_providers_core.cli.narration import Narrator, Verbosity
from kickai_providers_core.cli.options import Number, shared
from kickai_providers_core.cli.options import targets as parsed_targets
from kickai_providers_core.cli.roles import warn_of_stranger
from kickai_providers_core.cli.tracing import trace
from kickai_providers_core.config.roles import MAX_TEMPERATURE
from kickai_providers_core.values.errors import ChainExhaustedError, DeadlineExceededError, ProviderError
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.replies import FinishReason
from kickai_providers_core.values.requests import ChatRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.chain import Chain
    from kickai_providers_core.cli.session import Session
    from kickai_providers_core.plugin_api.hookspecs import Progress
    from kickai_providers_core.resolver import Resolver
    from kickai_providers_core.runtime.drivers import StreamMode
    from kickai_providers_core.values.replies import Reply
    from kickai_providers_core.values.targets import Target

__all__ = ["command"]

MOST_WARNINGS = 1000
"""The most warnings of plugins that are kept until it is known whether the command fails."""

BAR = 24
"""The columns of a progress bar."""

EPILOG = """\b
Examples:
  kickai ask "Who can play on Saturday?"
  kickai ask --role squad_selector --stream < availability.txt
  kickai ask --chain huggingface:Qwen/Qwen2.5-7B-Instruct,gemini,local "Hello"
  kickai ask --json "Hello" | jq -r .provider
"""


@frozen(kw_only=True)
class _Wish:
    """How the answer is wanted."""

    role: str | None
    targets: tuple[Target, ...]
    mode: StreamMode | None
    deadline_s: float | None
    verbosity: Verbosity
    explained: bool


@click.command("ask", epilog=EPILOG)
@click.argument("words", metavar="[PROMPT]", nargs=-1)
@click.option("--role", metavar="ROLE", help="Use this role: its models, temperature and token limit.")
@click.option(
    "--chain",
    "targets",
    metavar="TARGET,…",
    callback=parsed_targets,
    help="Call these targets in this order, each INSTANCE or INSTANCE:MODEL.",
)
@click.option("--stream", is_flag=True, help="Print the answer as it arrives.")
@click.option(
    "--mode",
    type=click.Choice(["live", "restart", "buffered"]),
    help="What to do when a stream breaks off: live fails, restart starts over at the next target, buffered prints "
    "nothing before the answer is complete. Implies --stream.  [default: live]",
)
@click.option("--system", metavar="TEXT", help="Put this system message before the prompt.")
@click.option(
    "--temperature", type=Number(0, MAX_TEMPERATURE), help="Use this temperature, from 0 to 2, instead of the role's."
)
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Limit the answer to N tokens.")
@click.option(
    "--deadline",
    type=Number(0, min_open=True),
    metavar="SECONDS",
    help="Fail when there is no answer after this many seconds.",
)
@click.option(
    "--explain", "explained", is_flag=True, help="Print at the end what was tried and skipped, why, and when."
)
@click.option("-q", "--quiet", "verbosity", flag_value="quiet", help="Print only the answer and errors.")
@click.option("-v", "--verbose", "verbosity", flag_value="verbose", help="Print every step.")
@shared
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
    explained: bool,
    verbosity: Verbosity | None,
) -> None:
    """Answer PROMPT, or standard input, through a chain of providers.

    The first target of the chain that can answer is used. Without --role and --chain, the chain is the primary provider
    of the settings followed by its fallbacks. With both, the role sets temperature and token limit, and --chain the
    targets.

    The answer goes to standard output. When the first target does not answer at once, each step is reported on
    standard error.
    """
    system_message = [Message(role="system", content=_text(system, "the system message"))] if system else []
    request = ChatRequest(
        messages=(*system_message, Message(role="user", content=_prompt(words))),
        temperature=temperature,
        max_tokens=max_tokens,
    )
    session.prompts = tuple(message.content for message in request.messages)
    wish = _Wish(
        role=role,
        targets=targets,
        mode=mode or ("live" if stream else None),
        deadline_s=deadline,
        verbosity=verbosity or "story",
        explained=explained,
    )
    try:
        if wish.verbosity == "quiet":
            with _warnings_held_back(session):
                _ask(session, request, wish)
        else:
            _ask(session, request, wish)
    except (ProviderError, DeadlineExceededError, ChainExhaustedError) as error:
        if wish.explained:
            session.console.end_line()
            session.console.tell_block(error.explain())
        raise


@contextmanager
def _warnings_held_back(session: Session) -> Iterator[None]:
    """Show warnings for the developers of plugins only when the command fails."""
    logger, held = logging.getLogger("kickai_providers_core"), BufferingHandler(MOST_WARNINGS)
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(held)
    try:
        yield
    except Exception:
        for record in held.buffer:
            session.console.tell(f"warning: {record.getMessage()}", "yellow")
        raise
    finally:
        logger.removeHandler(held)
        logger.propagate = propagates


def _ask(session: Session, request: ChatRequest, wish: _Wish) -> None:
    console = session.console
    narrator = Narrator(console.tell, console.wait_for, wish.verbosity)
    with session.resolver([narrator]) as resolver:
        chain = _chain(resolver, wish)
        if wish.verbosity != "quiet":
            session.story_told = True
            _warn(session, resolver, wish)
        if wish.verbosity == "verbose":
            console.tell(f"chain: {' → '.join(chain.targets)}", "bright_black")
        with console.waiting():
            _prepare(session, chain, wish)
            reply = (
                _streamed(session, chain, request, wish)
                if wish.mode
                else chain.invoke(request, deadline_s=wish.deadline_s)
            )
    if session.as_json:
        console.record(records.answer(reply))
    elif not _printed_already(session, wish):
        console.answer(reply.text)
    console.end_line()
    if session.debug:
        for attempt in reply.attempts:
            if attempt.error is not None:
                console.tell_block(trace(attempt.error, session.prompts))
    if wish.verbosity != "quiet":
        _remark(session, reply, wish.verbosity)
    if wish.explained:
        console.tell_block(reply.explain())


def _prepare(session: Session, chain: Chain, wish: _Wish) -> None:
    """Make the first target ready while the user watches, so far as its settings ask for that."""
    console = session.console
    status = ""
    try:
        for progress in chain.prepare():
            console.wait_for(_bar(progress))
            if progress.status != status and wish.verbosity != "quiet":
                console.tell(progress.status, "bright_black")
            status = progress.status
    except ProviderError as error:
        console.tell(f"{type(error).__name__}: {error.message}", "yellow")


def _bar(progress: Progress) -> str:
    """Return a progress as a line: what is being done, a bar when its length is known, and the share."""
    if not progress.total:
        return progress.status
    done = round(BAR * progress.completed / progress.total)
    return f"{progress.status} {'━' * done}{'─' * (BAR - done)} {progress}"


def _chain(resolver: Resolver, wish: _Wish) -> Chain:
    if not wish.targets:
        return resolver.for_role(wish.role)
    if wish.role is None:
        return resolver.chain(*wish.targets)
    role = resolver.settings.role(wish.role)
    return resolver.chain(*wish.targets, temperature=role.temperature, max_tokens=role.max_tokens)


def _streamed(session: Session, chain: Chain, request: ChatRequest, wish: _Wish) -> Reply:
    """Return the answer, having written what of it may be written before it is whole."""
    console = session.console
    with chain.stream(request, mode=wish.mode or "live", deadline_s=wish.deadline_s) as stream:
        for chunk in stream:
            if session.as_json:
                if chunk.text or chunk.restart:
                    console.record(records.chunk(chunk))
            elif chunk.restart and console.terminal:
                console.end_line()
                console.tell("starting over: ignore the text above", "yellow")
            elif _printed_already(session, wish):
                console.answer(chunk.text)
        if stream.reply is None:
            message = "a stream ended without a reply and without an error"
            raise RuntimeError(message)
        return stream.reply


def _printed_already(session: Session, wish: _Wish) -> bool:
    """Return whether the pieces of an answer are written as they come.

    A file or a pipe cannot be told to forget what it has got: where an answer may start over it gets the whole one.
    """
    return wish.mode is not None and (wish.mode != "restart" or session.console.terminal)


def _warn(session: Session, resolver: Resolver, wish: _Wish) -> None:
    """Tell what is odd about the settings that somebody wrote, about the targets, and about the role."""
    settings = resolver.settings
    for problem in settings.warnings:
        planned = problem.source.startswith("catalogue ")
        unset = problem.path.startswith("kickai.") and settings.source_of(problem.path.partition("[")[0]) == "default"
        if not planned and not unset:
            session.console.tell(f"warning: {problem}", "yellow")
    for target in wish.targets:
        if target.model is not None and (successor := settings.find_successor(target.model)) != target.model:
            session.console.tell(f"warning: {target.model} is retired: {successor} is called instead", "yellow")
    if wish.role is not None:
        warn_of_stranger(session, settings, wish.role)


def _remark(session: Session, reply: Reply, verbosity: Verbosity) -> None:
    """Tell what the answer itself does not show."""
    tell = session.console.tell
    if reply.finish_reason is FinishReason.LENGTH:
        way_out = f"{reply.provider} allows no more" if "max_tokens" in reply.omitted else "--max-tokens raises it"
        tell(f"warning: the answer stops at its token limit; {way_out}", "yellow")
    if reply.tool_calls:
        tell(f"the model asks to call {', '.join(call.name for call in reply.tool_calls)}; --json shows how", "yellow")
    if reply.omitted and verbosity == "verbose":
        tell(f"the model does not take {', '.join(reply.omitted)}, which was left out", "bright_black")


def _prompt(words: tuple[str, ...]) -> str:
    if words and words != ("-",):
        text = _text(" ".join(words), "the prompt")
    else:
        if sys.stdin is None or (not words and sys.stdin.isatty()):
            raise click.UsageError("There is no prompt: pass it as an argument or on standard input.")
        text = _piped()
    if not text.strip():
        raise click.UsageError("The prompt is empty.")
    return text


def _piped() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError("Standard input is not UTF-8 text.") from None
    except OSError as exc:
        raise click.UsageError(f"Standard input cannot be read: {exc.strerror}.") from None


def _text(value: str, what: str) -> str:
    """Return an argument that is text; others come from the shell with lone surrogates in the place of their bytes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise click.UsageError(f"{what.capitalize()} is not UTF-8 text.") from None
    return value
