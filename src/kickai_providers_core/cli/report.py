"""``kickai report``: shows what requests did, what they cost, and whether the five measures are met."""

from __future__ import annotations

import gc
import os
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import click

from kickai_providers_core.cli.common_options import shared_options
from kickai_providers_core.config.descriptions import suggest_name
from kickai_providers_core.operations.html_page import render_page
from kickai_providers_core.operations.number_formats import format_period
from kickai_providers_core.operations.prices import load_price_list
from kickai_providers_core.operations.report_reading import ReportReader
from kickai_providers_core.stores.urls import MEMORY, SQLITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.cli.common_options import Session
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.operations.acceptance_criteria import Measure
    from kickai_providers_core.operations.report import Report
    from kickai_providers_core.operations.tables import Grouping

__all__ = ["command", "parse_since"]

EPILOG = """\b
Examples:
  kickai report
  kickai report --since 24h --role squad_selector
  kickai report --since 2026-11-01 --html report.html
  kickai report --json | jq .measures.success_rate.status
  kickai report --check || echo "a measure fails"
"""

UNITS_S = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
DURATION = re.compile(r"([0-9]{1,6})([mhdw])")
LONGEST_S = 100 * 365 * 86_400

PIPE_WIDTH = 10_000
"""The columns of the output in a file or a pipe: more than any table needs, so that nothing is cut or left out."""

NO_STORE = """A report needs a store. Add to kickai.toml:

  [store]
  url = "sqlite:///kickai.db"

Requests that are made from then on are counted."""


def parse_since(text: str, now_s: float) -> float:
    """Return the time in seconds since 1970 of an age such as ``7d``, or of a date in UTC.

    Raises:
        ValueError: It is neither, or not in the past.
    """
    text = text.strip()
    match = DURATION.fullmatch(text)
    if match is not None:
        age_s = int(match[1]) * UNITS_S[match[2]]
        if not 0 < age_s <= LONGEST_S:
            raise ValueError(f"{text!r} is not between 1m and 100 years")
        return max(0.0, now_s - age_s)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is neither an age such as 30m, 24h, 7d or 2w nor a date such as 2026-11-01"
        raise ValueError(message) from None
    at_s = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    if at_s < 0:
        raise ValueError(f"{text!r} is before 1970")
    if at_s >= now_s:
        raise ValueError(f"{text!r} is not in the past; it is {format_period(now_s)} UTC")
    return at_s


def _parse_since_option(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Return the text of an age or a date; the live view evaluates an age again and again."""
    try:
        parse_since(value, time.time())
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None
    return value


@click.command("report", epilog=EPILOG)
@click.option(
    "--since",
    default="7d",
    show_default=True,
    metavar="TIME",
    callback=_parse_since_option,
    help="Report the time since then: an age such as 30m, 24h, 7d or 2w, or a date in UTC.",
)
@click.option("--role", metavar="ROLE", help="Report only the requests of this role.")
@click.option(
    "--by",
    type=click.Choice(["provider", "model", "role"]),
    help="Group requests by this alone.  [default: provider and role]",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the report as a page instead.",
)
@click.option("--watch", is_flag=True, help="Show the report until Ctrl-C, and update it every two seconds.")
@click.option("--check", is_flag=True, help="End with exit code 1 when a measure fails.")
@shared_options
@click.pass_obj
def command(
    session: Session, *, since: str, role: str | None, by: Grouping | None, html: Path | None, watch: bool, check: bool
) -> int:
    """Show requests, response times, fallbacks, tokens and costs, and whether the five measures are met.

    The figures are those that running applications write to the store of the settings once a second. Nothing is written
    to the store. Costs need pip install 'kickai-providers-core[report]'.
    """
    if watch:
        _require_terminal(session, has_output=session.as_json or html is not None or check)
    else:
        gc.disable()  # the process ends soon, and looking for cycles takes a tenth of the time
    with session.store() as (store, settings):
        location = _require_file(settings)
        if store is None:  # as without an address, which was reported
            raise click.UsageError(NO_STORE)
        with session.console.spinner():
            session.console.set_status("loading prices")
            reader = ReportReader(
                store=store, settings=settings, price_list=load_price_list(), on_progress=_show_progress(session)
            )
        if watch:
            _watch(session, reader, since, role, _list_groupings(by))
        with session.console.spinner():
            session.console.set_status("reading the store")
            report = reader.read(parse_since(since, now_s := time.time()), now_s, role)
    if role is not None and report.is_empty:
        _require_role(role, settings)
    _write(session, report, _list_groupings(by), html, location)
    failed = report.failed_measures if check else ()
    for measure in failed:
        session.console.log(f"kickai: fails: {_describe_failure(measure)}", "red")
    return 1 if failed else 0


def _list_groupings(by: Grouping | None) -> tuple[Grouping, ...]:
    return ("provider", "role") if by is None else (by,)


def _require_terminal(session: Session, *, has_output: bool) -> None:
    if has_output:
        raise click.UsageError("--watch shows a live view: it cannot be combined with --json, --html or --check.")
    if not session.console.is_terminal:
        raise click.UsageError("--watch needs a terminal, and standard output is a file or a pipe.")


def _require_file(settings: Settings) -> str:
    """Return the location of the store, which has to exist already: a report creates nothing."""
    address = settings.store.address
    if address is None:
        raise click.UsageError(NO_STORE)
    if address.scheme == MEMORY:
        raise click.UsageError("The store memory: ends with its process, so there is nothing to report.")
    if address.scheme != SQLITE:
        return address.location
    path = address.find_path(Path())
    # A folder that cannot be read is explained by the store.
    if os.access(path.parent, os.X_OK) and not os.path.lexists(path):
        raise click.UsageError(
            f"The store {path} does not exist yet. It is created when an application that uses these settings makes "
            "its first request, for example kickai ask."
        )
    return str(path)


def _require_role(role: str, settings: Settings) -> None:
    if role not in settings.roles and role != settings.default_role.name:
        hint = suggest_name(role, settings.roles) or "Run kickai roles for a list."
        raise click.UsageError(f"Unknown role {role!r}, and no request has it. {hint}")


def _show_progress(session: Session) -> Callable[[int], None]:
    return lambda start_s: session.console.set_status(f"reading the store: {format_period(start_s)}")


def _write(session: Session, report: Report, by: tuple[Grouping, ...], html: Path | None, location: str) -> None:
    console = session.console
    if html is not None:
        _write_file(html, render_page(report))
        console.log(f"wrote {html}")
    if session.as_json:
        console.write_json(report.as_dict())
    elif report.is_empty:
        console.log(
            f"no requests since {format_period(report.since_s)} UTC in {location}: applications that use these "
            "settings write their figures once a second; --since reports a longer time",
            "yellow",
        )
        for warning in report.warnings:
            console.warn(warning)
    elif html is None:
        from kickai_providers_core.cli.report_terminal import render_lines  # noqa: PLC0415  rich takes a tenth of a second

        width = shutil.get_terminal_size().columns if console.is_terminal else PIPE_WIDTH
        for line in render_lines(report, by, width):
            console.write_line(line)


def _write_file(path: Path, text: str) -> None:
    """Write a file as a whole, or leave it as it is.

    Raises:
        click.BadParameter: It cannot be written.
    """
    try:
        umask = os.umask(0)
        os.umask(umask)
        with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), 0o666 & ~umask)
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be written: {error.strerror}.", param_hint="'--html'") from None


def _describe_failure(measure: Measure) -> str:
    from kickai_providers_core.operations.tables import NO_ROLE, format_value  # noqa: PLC0415

    roles = [role or NO_ROLE for role, each in measure.roles.items() if each.status == "fail"]
    where = f", by role: {', '.join(roles)}" if roles else ""
    return f"{measure.title}: {format_value(measure)}, expected {measure.target}{where}"


def _watch(session: Session, reader: ReportReader, since: str, role: str | None, by: tuple[Grouping, ...]) -> None:
    """Show the report until the user interrupts it."""
    from kickai_providers_core.cli.report_watch import show_live_report  # noqa: PLC0415  rich takes a tenth of a second

    def read() -> Report:
        now_s = time.time()
        return reader.read(parse_since(since, now_s), now_s, role)

    show_live_report(session.console.output.stream, read, by)
