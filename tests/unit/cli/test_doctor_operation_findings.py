"""What ``kickai doctor`` says about the store, the rollout, prices, the network's variables and the clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from kickai_providers_core import KickaiSettings, ProviderSettings, Settings
from kickai_providers_core.cli.doctor_operation_findings import (
    StoreExamination,
    check_clock,
    check_daily_limits,
    check_network,
    check_prices,
    check_store,
    examine_store,
)
from kickai_providers_core.observability.rollout_controller import PLAN
from kickai_providers_core.operations.prices import PriceBook
from kickai_providers_core.operations.rates import Rates
from kickai_providers_core.resilience.rollout import Rollout, RolloutPlan
from kickai_providers_core.resilience.rollout_shares import ALL_ROLES, BUCKETS
from kickai_providers_core.stores.api import StoreStatus, Writer
from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kickai_providers_core.cli.doctor_findings import Finding
    from kickai_providers_core.operations.prices import ListedTarget

NOW = 1_800_000_000.0
GOOD = StoreStatus(kind="sqlite", location="/k.db", schema_version=1, details={"sqlite": "3.40.1", "journal": "delete"})


def lines(findings: Iterable[Finding]) -> list[str]:
    """Return findings as text."""
    return [f"{each.severity} {each.problem.path}: {each.problem.message}" for each in findings]


def test_without_a_store_a_note_says_what_it_is_for() -> None:
    """It is only noted: reports and rollouts need one."""
    (finding,) = check_store(None)
    assert finding.severity == "note"
    assert 'url = "sqlite:///kickai.db"' in finding.problem.hint


def test_a_store_that_cannot_be_used_is_an_error() -> None:
    """With the store's own words."""
    (finding,) = check_store(StoreExamination(error="the disk is full"))
    assert (finding.severity, finding.problem.message) == ("error", "the disk is full")


def test_a_good_store_is_described() -> None:
    """Kind, place, schema and versions."""
    assert lines(check_store(StoreExamination(status=GOOD))) == [
        "ok store: sqlite /k.db is writable, schema 1, sqlite 3.40.1, journal delete"
    ]


def test_the_warnings_of_a_store_are_shown() -> None:
    """As it gives them, and one for a write-ahead log that this version of SQLite may damage."""
    wal = evolve(GOOD, details={"journal": "wal"}, warnings=("others may write the file",))
    first, _, *rest = lines(check_store(StoreExamination(status=wal)))
    assert first == "warning store: others may write the file"
    import sqlite3

    expected = sqlite3.sqlite_version_info <= (3, 51, 2)
    assert any("can damage a file in WAL mode" in line for line in rest) == expected


@pytest.mark.parametrize(
    ("writers", "expected"),
    [
        ((), []),
        ((("a", 1.0, False), ("b", 900.0, True)), ["ok store: 2 writers of the last hour, none behind"]),
        ((("a", 60.0, False), ("b", 1.0, False)), ["note store: 1 writer of the last hour did not write in the last"]),
        ((("a", 9000.0, False),), []),
    ],
)
def test_processes_that_do_not_keep_up_are_shown(
    writers: tuple[tuple[str, float, bool], ...], expected: list[str]
) -> None:
    """A process that has neither ended nor written lately was killed, is idle, or cannot write."""
    made = tuple(Writer(process=name, last_number=3, age_s=age, is_final=final) for name, age, final in writers)
    found = lines(check_store(StoreExamination(status=GOOD, writers=made)))[1:]
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))


def test_a_real_store_is_examined(tmp_path: Path) -> None:
    """Its state, its writers, its rollouts and its newest minute; a suspension is a warning."""
    store = SqliteStore(tmp_path / "k.db")
    rollouts = {
        ALL_ROLES: Rollout(candidate="mock", share=BUCKETS // 4),
        "coach": Rollout(candidate="mock", suspended_share=BUCKETS // 2),
        "scout": Rollout(candidate="gone", share=BUCKETS),
    }
    store.documents.write(PLAN, RolloutPlan(rollouts=rollouts).as_dict(), expected_version=0)
    minute = int(time.time()) // 60 * 60
    batch = MetricsBatch(process="p", number=1, cells={CellKey(start_s=minute): Cell(counters={"requests.success": 1})})
    store.metrics.add(batch)
    settings = Settings(kickai=KickaiSettings(primary="mock", fallback=("other",)))
    examination = examine_store(store, settings, time.time)
    store.close()
    assert examination.newest_s == minute
    found = lines(check_store(examination))
    assert "ok store: 1 writer of the last hour, none behind" in found
    assert "ok rollout: mock has 25% of all roles, fixed share" in found
    assert "warning rollout: mock has 0% of the role coach, suspended by the guard at 50%" in found
    share = "gone has 100% of the role scout, fixed share"
    assert f"warning rollout: {share}, but it has no effect with these settings: they have no provider gone" in found


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (0, "ok limits: mock may use 1,000 requests a day, of which 0 (0 %) are used"),
        (800, "ok limits: mock may use 1,000 requests a day, of which 800 (80.0 %) are used"),
        (801, "warning limits: mock may use 1,000 requests a day, of which 801 (80.1 %) are used"),
    ],
)
def test_limits_per_day_are_shown_with_what_is_used_of_today(used, expected, tmp_path: Path) -> None:
    """What processes have leased from the store; yesterday and other instances do not count."""
    settings = Settings(
        providers={"mock": ProviderSettings(requests_per_day=1000), "mock-2": ProviderSettings(kind="mock")}
    )
    store = SqliteStore(tmp_path / "kickai.db")
    today = int(time.time()) // 86_400
    for name, amount in ((f"mock/a/b/requests/day/{today}", used), (f"mock/a/b/requests/day/{today - 1}", 999)):
        if amount:
            store.leases.take_permits(f"limit/{name}", "p", amount=amount, limit=1000, window_s=1000)
    store.leases.take_permits(f"limit/mock-2/a/requests/day/{today}", "p", amount=7, limit=1000, window_s=1000)
    examination = examine_store(store, settings, time.time)
    store.close()
    assert lines(check_daily_limits(settings, examination, today * 86_400 + 5)) == [
        f"{expected} or reserved since 00:00 UTC"
    ]


def test_limits_per_day_without_a_store_are_those_of_each_process() -> None:
    """Nothing is known about their use."""
    settings = Settings(providers={"mock": ProviderSettings(tokens_per_day=5)})
    assert lines(check_daily_limits(settings, None, NOW)) == [
        "note limits: mock may use 5 tokens a day in each process: without a store, the use is unknown"
    ]


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    """The error is the store's."""
    assert examine_store(SqliteStore(tmp_path), Settings(), time.time).error


class OnePrice:
    """A price list with one model."""

    name = "a list"

    def find_rates(self, target: ListedTarget, input_tokens: int, at_s: int) -> Rates | None:
        """Return the rates of ``known``."""
        return Rates() if target.model == "known" else None


def test_targets_without_a_price_are_named() -> None:
    """So that nobody takes an unpriced answer for a free one."""
    book = PriceBook(settings=Settings(), prices=OnePrice())
    known, unknown = Target("gemini", "known"), Target("gemini", "unknown")
    assert lines(check_prices([known], book, NOW)) == [
        "ok prices: a list or the settings have a price for each of 1 target"
    ]
    assert lines(check_prices([known, unknown, Target("mock")], book, NOW)) == [
        "note prices: no price is known for 1 of 2 targets: gemini:unknown"
    ]
    assert lines(check_prices([Target("mock")], book, NOW)) == []
    without = lines(check_prices([known], PriceBook(settings=Settings()), NOW))
    assert without == ["note prices: no price list is installed, so reports have no costs"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "ok network: no proxy, the system's certificates"),
        ({"https_proxy": "http://proxy:3128"}, "ok network: a proxy for https, the system's certificates"),
        ({"https_proxy": "ftp://proxy"}, "warning : the proxy cannot be used: its scheme is not one of"),
        ({"SSL_CERT_FILE": "/nonexistent.pem"}, "warning : the certificates in /nonexistent.pem cannot be read"),
        ({"SSL_CERT_DIR": "/"}, "ok network: no proxy, certificates from SSL_CERT_DIR"),
    ],
)
def test_the_variables_of_the_network_are_checked(environ: dict[str, str], expected: str) -> None:
    """Proxies and certificates, without a connection."""
    (line,) = lines(check_network(environ))
    assert line.startswith(expected)


@pytest.mark.parametrize(
    ("now_s", "newest_s", "severity"),
    [(NOW, None, "ok"), (NOW, int(NOW) - 60, "ok"), (NOW, int(NOW) + 3600, "warning"), (1e9, None, "warning")],
)
def test_an_implausible_clock_is_a_warning(now_s: float, newest_s: int | None, severity: str) -> None:
    """It was never set, or the store has metrics of the future."""
    (finding,) = check_clock(now_s, newest_s)
    assert finding.severity == severity
