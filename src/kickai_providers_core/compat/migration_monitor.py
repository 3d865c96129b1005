"""How the migration goes: a view of the report on the metrics of the store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypedDict

from attrs import evolve

from kickai_providers_core.compat.names import to_name
from kickai_providers_core.compat.process_default import get_resolver
from kickai_providers_core.outside_calls import OutsideCall
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.values.validation import Number, hide_arguments

if TYPE_CHECKING:
    from kickai_providers_core.operations.figures import Figures
    from kickai_providers_core.operations.prices import PriceList
    from kickai_providers_core.operations.report import Report
    from kickai_providers_core.values.usage import Usage

__all__ = ["AgentReport", "MigrationMonitor", "MigrationReport", "ProviderReport", "get_migration_monitor"]

WEEK_S = 7 * 86_400.0

WRITE_S = 5.0
"""Seconds for which a report waits until this process has written its latest requests to the store."""

AGE = Number(above=0)


class ProviderReport(TypedDict):
    """The calls of one provider.

    Attributes:
        requests: The requests that it answered.
        calls: Its attempts: answered or failed, retries included.
        errors: Those that failed.
        success_rate: The share of its attempts that it answered, from 0 to 1; None without any.
        average_response_time_s: The mean of the requests that it answered as a whole; None without any.
    """

    requests: int
    calls: int
    errors: int
    success_rate: float | None
    average_response_time_s: float | None


class AgentReport(TypedDict):
    """The requests of one agent.

    Attributes:
        requests: Completed requests: answered or failed.
        errors: Those that failed.
        success_rate: The share that was answered, from 0 to 1; None without requests.
        average_response_time_s: The mean of successful whole answers; None without any.
    """

    requests: int
    errors: int
    success_rate: float | None
    average_response_time_s: float | None


class MigrationReport(TypedDict):
    """What requests did since a time. The same numbers are in ``kickai report``.

    Attributes:
        since: The beginning, in UTC.
        until: The end, in UTC.
        observed_s: The time for which there is data, in seconds.
        total_requests: Completed requests: answered or failed.
        successful_requests: Those that were answered.
        failed_requests: Those that failed.
        success_rate: The share that was answered, from 0 to 1; None without requests.
        average_response_time_s: The mean of successful whole answers; None without any.
        fallback_rate: The share of the requests for Hugging Face that Gemini answered since Hugging Face failed; None
            without such requests.
        provider_distribution: The share of completed requests that each provider answered.
        providers: The calls of each provider.
        agents: The requests of each role; those without a role have an empty name.
        cost_usd: What the attempts cost, as far as prices are known.
        cost_savings_usd: What was saved against Gemini alone, at least, in ``observed_s``.
        monthly_savings_usd: The same for a month at the observed rate; None before one hour of data.
        measures: The five measures, each ``pass``, ``fail`` or ``not yet applicable``.
        warnings: What to know about the numbers.
    """

    since: str
    until: str
    observed_s: float
    total_requests: int
    successful_requests: int
    failed_requests: int
    success_rate: float | None
    average_response_time_s: float | None
    fallback_rate: float | None
    provider_distribution: dict[str, float]
    providers: dict[str, ProviderReport]
    agents: dict[str, AgentReport]
    cost_usd: float
    cost_savings_usd: float
    monthly_savings_usd: float | None
    measures: dict[str, str]
    warnings: list[str]


class MigrationMonitor:
    """Counts calls that were made without a chain, and reports on all requests.

    Requests of chains are counted without it. Safe to use from any thread.
    """

    def log_request(
        self,
        provider: str,
        agent_role: str | None = None,
        *,
        success: bool = True,
        response_time_s: float = 0.0,
        model: str | None = None,
        error: BaseException | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Count a request that was made without a chain, for example by code that has not been moved yet.

        Do not log requests of chains, of `ResilientLLM` or of `LLMFactory`: they are counted already.

        Args:
            provider: An `AIProvider`, or another name.
            agent_role: An `AgentRole`, another role, or None.
            success: Whether it was answered.
            response_time_s: Seconds that it took, from 0.
            model: The model, if known; costs need it.
            error: What it raised, if it failed; only the name of its class is kept.
            usage: The reported tokens; costs need them.

        Raises:
            ArgumentTypeError: An argument has the wrong type.
            ArgumentValueError: An argument is out of range.
        """
        failure = error if success or error is not None else RuntimeError("not answered")
        call = OutsideCall(
            provider=to_name("provider", provider),
            model=model,
            role=None if agent_role is None else to_name("agent_role", agent_role),
            latency_s=response_time_s,
            usage=usage,
            error=failure,
        )
        get_resolver().outside_calls.record_call(call)

    def get_migration_report(self, since_s: float = WEEK_S, *, price_list: PriceList | None = None) -> MigrationReport:
        """Return what requests did, those of other processes with the same store included. Blocks while reading.

        Args:
            since_s: The age of the oldest requests to report, in seconds, above 0.
            price_list: The result of `kickai_providers_core.operations.prices.load_price_list`. It takes 100 MB of
                memory, so an application may prefer ``kickai report``. Without it, costs use the prices in the
                settings, and the plan's 0.05 USD for a thousand requests of Gemini.

        Raises:
            ArgumentValueError: The age is not above 0.
            StoreError: The store cannot be read.
        """
        _validate_age(since_s)
        return _describe(_read(since_s, price_list))


def get_migration_monitor() -> MigrationMonitor:
    """Return the monitor of the resolver that `compat` uses."""
    return MigrationMonitor()


@hide_arguments
def _validate_age(since_s: float) -> None:
    AGE.check("since_s", since_s)


def _read(since_s: float, price_list: PriceList | None) -> Report:
    from kickai_providers_core.operations.report_reading import ReportReader  # noqa: PLC0415  few applications read reports

    resolver = get_resolver()
    store, is_written, now_s = resolver.store, resolver.flush(WRITE_S), time.time()
    warning = ""
    if store is None:
        store, warning = MemoryStore(), "the resolver has no store, so nothing is counted: set [store] url"
    elif not is_written:
        warning = "the latest requests of this process are missing, since the store does not accept them"
    report = ReportReader(store=store, settings=resolver.settings, price_list=price_list).read(
        max(0.0, now_s - since_s), now_s
    )
    return evolve(report, warnings=(*report.warnings, warning)) if warning else report


def _describe(report: Report) -> MigrationReport:
    from kickai_providers_core.operations.number_formats import format_time  # noqa: PLC0415

    total, month = report.total, report.savings.project()
    measures = {measure.name: measure for measure in report.measures}
    return {
        "since": format_time(report.since_s),
        "until": format_time(report.until_s),
        "observed_s": report.observed_s,
        "total_requests": total.completed,
        "successful_requests": total.succeeded,
        "failed_requests": total.completed - total.succeeded,
        "success_rate": measures["success_rate"].value,
        "average_response_time_s": total.latency.mean_s,
        "fallback_rate": measures["fallback_rate"].value,
        "provider_distribution": report.shares,
        "providers": {name: _describe_provider(figures) for name, figures in report.by_provider.items() if name},
        "agents": {name: _describe_agent(figures) for name, figures in report.by_role.items()},
        "cost_usd": total.cost.nano_usd / 1e9,
        "cost_savings_usd": report.savings.least_nano_usd / 1e9,
        "monthly_savings_usd": None if month is None else month.least_nano_usd / 1e9,
        "measures": {name: measure.status.value for name, measure in measures.items()},
        "warnings": list(report.warnings),
    }


def _describe_provider(figures: Figures) -> ProviderReport:
    errors = figures.attempts.get("error", 0)
    return {
        "requests": figures.succeeded,
        "calls": figures.attempts.get("success", 0) + errors,
        "errors": errors,
        "success_rate": figures.attempt_success_rate,
        "average_response_time_s": figures.latency.mean_s,
    }


def _describe_agent(figures: Figures) -> AgentReport:
    completed = figures.completed
    return {
        "requests": completed,
        "errors": completed - figures.succeeded,
        "success_rate": figures.succeeded / completed if completed else None,
        "average_response_time_s": figures.latency.mean_s,
    }
