"""Budgets in money: what is set aside, what an answer costs, and where the prices come from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import live
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kickai_providers_core import Target, Usage
from kickai_providers_core.operations.rates import NANO_PER_USD, Rates, TokenCounts
from kickai_providers_core.stores.memory import MemoryStore
from processes import TESTS, install_provider, run, start
from test_keys import OTHER, ask_at_once, guard, key, with_key
from test_protection import STORE, make_key
from wire import CHAT, body, check_chunks

from kickai_gateway.allowances import Allowance
from kickai_gateway.key_guards import list_limits
from kickai_gateway.prices import PriceTable, Tier, UnknownPriceError, format_exact_usd

CHEAP = Rates(input=1_000_000, cached=1_000_000, output=2_000_000, reasoning=2_000_000)
"""A million USD for a million million tokens: a nano-USD is a thousandth of a token."""

ONE, TWO = Target("one"), Target("two")


def table(**rates):
    """Return a table with one tier for each target."""
    return PriceTable({name: [Tier(up_to=None, rates=each)] for name, each in rates.items()})


PRICES = table(one=CHEAP, two=CHEAP)

COST = CHEAP.price(TokenCounts(1, 12, 7, 5, 3))
"""What each scripted answer costs, in nano-USD."""


def test_the_dearest_target_and_tier_counts():
    """A request may have fewer tokens than its upper bound, and a fallback may answer."""
    small, large = Tier(up_to=100, rates=Rates(input=9_000)), Tier(up_to=None, rates=Rates(input=2_000))
    prices = PriceTable({"one": [small, large], "two": [Tier(up_to=None, rates=Rates(input=1_000, output=4_000))]})
    assert prices.find_most([ONE], 100, 10) == 900
    assert prices.find_most([ONE], 101, 10) == 909
    assert prices.find_most([ONE, TWO], 1, 10) == 41
    assert prices.price(ONE, Usage(input_tokens=101, output_tokens=0)) == 202
    assert prices.price(ONE, Usage(input_tokens=100, output_tokens=0)) == 900
    assert prices.price(Target("x"), Usage(input_tokens=1, output_tokens=1, cost_nano_usd=5)) == 5
    with pytest.raises(UnknownPriceError, match="x:y"):
        prices.find_most([ONE, Target("x", "y")], 1, 1)
    assert PriceTable.from_json(json.loads(json.dumps(prices.as_json()))) == prices


@given(
    rates=st.builds(
        Rates, **dict.fromkeys(("input", "cached", "output", "reasoning", "attempt"), st.integers(0, 10**9))
    ),
    counts=st.tuples(*[st.integers(0, 10**6)] * 4),
    spare=st.tuples(st.integers(0, 100), st.integers(0, 100)),
)
def test_an_answer_never_costs_more_than_was_set_aside(rates, counts, spare):
    """Whatever kinds of tokens it has."""
    sent, written, cached, thought = counts
    usage = Usage(
        input_tokens=sent,
        output_tokens=written,
        cached_tokens=min(cached, sent),
        reasoning_tokens=min(thought, written),
    )
    prices = table(one=rates)
    assert prices.price(ONE, usage) <= prices.find_most([ONE], sent + spare[0], written + spare[1])


@given(
    limit=st.integers(1, 10**6),
    requests=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 10**5), st.floats(0, 1)), max_size=60),
)
def test_processes_never_spend_more_than_the_budget(limit, requests):
    """Requests begin and end in any order, in three processes that share a store."""
    store, now = MemoryStore(), 100.0
    (own,) = list_limits("web", key(usd_per_day=limit / NANO_PER_USD if limit >= 1000 else 1e-6), is_shared=True)
    processes = [Allowance(own) for _ in range(3)]
    used_up, running = 0, []
    for number, amount, share in requests:
        allowance = processes[number]
        wanted = allowance.count_wanted(now)
        if wanted:
            lease = store.leases.take_permits(
                own.name, f"p{number}", amount=wanted, limit=own.amount, window_s=own.window_s
            )
            allowance.add(lease, now)
        window = allowance.reserve(amount, now)
        if window is not None:
            running.append((allowance, window, amount, int(amount * share)))
        if len(running) > 3:
            ended, window, reserved, used = running.pop(0)
            ended.settle(window, reserved, used, now)
            used_up += used
        assert used_up + sum(reserved for _, _, reserved, _ in running) <= own.amount
        now += 1.5
    store.close()


@pytest.mark.parametrize(
    ("nano", "text"), [(0, "0.00"), (1, "0.000000001"), (1_500_000_000, "1.50"), (10**10, "10.00")]
)
def test_amounts_are_written_exactly(nano, text):
    """As USD, with two decimals at least."""
    assert format_exact_usd(nano) == text


async def test_a_budget_in_money_is_never_exceeded_by_requests_at_once(script):
    """What is set aside is the most that a request can cost; what it did not cost is free afterwards."""
    budget = 100 * COST
    guards = guard({"web": key(usd_per_day=budget / NANO_PER_USD)}, prices=PRICES)
    async with (
        live.serve(script, guards=guards) as running,
        httpx.AsyncClient(base_url=running.url, timeout=60) as http,
    ):
        await ask_at_once(http, rounds=6)
        used_up = COST * len(script.requests)
        assert budget / 2 < used_up <= budget
        await live.wait_for(lambda: guards._allowances["web"]["usd-day"].held == budget - used_up)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_headers_state_the_budget(script, stream):
    """A stream is settled like a whole answer."""
    guards = guard({"web": key(usd_per_day=1.0, usd_per_month=2.5)}, prices=PRICES)
    async with live.serve(script, guards=guards) as running, httpx.AsyncClient(base_url=running.url) as http:
        reply = await http.post(CHAT, json=body(model="kickai", max_tokens=9, stream=stream), headers=with_key())
        held = {"usd-day": NANO_PER_USD - COST, "usd-month": 5 * NANO_PER_USD // 2 - COST}
        own = guards._allowances["web"]
        await live.wait_for(lambda: {unit: each.held for unit, each in own.items()} == held)
    assert reply.status_code == 200
    if stream:
        check_chunks(reply.text)
    assert reply.headers["x-ratelimit-limit-usd-day"] == "1.00"
    assert reply.headers["x-ratelimit-limit-usd-month"] == "2.50"


@pytest.mark.parametrize(("model", "cost"), [("one:busy", 0), ("one:strict", 0), ("one:breaks", None)])
async def test_money_is_released_when_nobody_bills(script, model, cost):
    """A stream that broke may be billed, so all that was set aside for it counts."""
    name = model.replace(":", "-")
    prices = PriceTable({model: [Tier(up_to=None, rates=CHEAP)]})
    guards = guard({name: key(usd_per_day=1.0, models=("*",))}, prices=prices)
    async with live.serve(script, guards=guards) as running, httpx.AsyncClient(base_url=running.url) as http:
        await http.post(CHAT, json=body(model=model, max_tokens=1000, stream=cost is None), headers=with_key())
        used_up = NANO_PER_USD - guards._allowances[name]["usd-day"].held
    assert used_up == cost if cost is not None else used_up >= 1000 * 2_000


async def test_a_model_without_a_price_is_refused(script):
    """Only for the key that has a budget; the message says what the operator can do."""
    keys = {"web": key(usd_per_day=1.0, models=("*",)), "free": key(OTHER, models=("*",))}
    guards = guard(keys, prices=table(one=CHEAP))
    async with live.serve(script, guards=guards) as running, httpx.AsyncClient(base_url=running.url) as http:
        hints = {"kickai": "[providers.two]", "one:large": '[prices.models."one:large"]', "two": "[providers.two]"}
        for model, hint in hints.items():
            reply = await http.post(CHAT, json=body(model=model), headers=with_key())
            error = reply.json()["error"]
            assert (reply.status_code, error["code"], error["param"]) == (400, "model_without_price", "model")
            assert hint in error["message"]
        assert script.requests == []
        assert (await http.post(CHAT, json=body(model="one"), headers=with_key())).status_code == 200
        assert (await http.post(CHAT, json=body(model="two"), headers=with_key(OTHER))).status_code == 200


async def test_a_request_beyond_the_whole_budget_says_what_it_may_cost(script):
    """Waiting would not help."""
    guards = guard({"web": key(usd_per_month=0.001)}, prices=PRICES)
    async with live.serve(script, guards=guards) as running, httpx.AsyncClient(base_url=running.url) as http:
        reply = await http.post(CHAT, json=body(model="kickai", max_tokens=1000), headers=with_key())
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "request_too_large")
    assert "USD, and its key 0.001 USD a month; lower max_tokens" in reply.json()["error"]["message"]
    assert script.requests == []


PRICED = """
[kickai]
primary = "one"
fallback = []
plugins = ["one"]
[providers.one]
model = "large"
[prices.models."one:large"]
input_usd_per_million = 1.0
output_usd_per_million = 2.0
"""


COUNTING = """
import pathlib, sys

if "kickai_gateway.price_process" in sys.orig_argv:
    with pathlib.Path("started").open("a") as file:
        file.write(".")
"""
"""Notes each start of the process that reads the prices."""


def test_the_program_holds_a_budget_and_never_imports_the_price_list(tmp_path):
    """A process of its own does; the worker has none of its modules, nor those of the library that it uses."""
    text, lines = make_key(tmp_path)
    with run(tmp_path, settings=f"{PRICED}{STORE}{lines}usd_per_day = 0.02\n") as served, served.client() as client:
        header = {"authorization": f"Bearer {text}"}
        replies = [client.post(CHAT, json=body("kickai", max_tokens=100), headers=header) for _ in range(3)]
        maps = Path(f"/proc/{served.process.pid}/maps").read_text(encoding="utf-8")
    assert [reply.status_code for reply in replies] == [200] * 3
    left = [float(reply.headers["x-ratelimit-remaining-usd-day"]) for reply in replies]
    assert 0 < left[2] <= 0.002  # what this process holds: a tenth of the budget at most
    assert "pydantic_core" not in maps


def test_one_process_reads_the_prices_for_all_workers(tmp_path):
    """Once at the start, and once on SIGHUP when the settings have changed; not when they are the same."""
    _, lines = make_key(tmp_path)
    settings = f"{PRICED}{STORE}{lines}usd_per_day = 5\n"
    (install_provider(tmp_path) / "sitecustomize.py").write_text(COUNTING)
    started = tmp_path / "started"
    with run(tmp_path, "--workers", "2", settings=settings) as served:
        assert started.read_text() == "."
        for text, runs in ((settings, "."), (settings.replace("= 2.0", "= 3.0"), "..")):
            (tmp_path / "kickai.toml").write_text(text)
            served.signal(signal.SIGHUP)
            for _ in range(2):
                served.wait_for_line("settings were read again")
            assert started.read_text() == runs


def test_the_program_does_not_start_without_prices(tmp_path):
    """It says what to install. The package is hidden by a module of that name that cannot be imported."""
    _, lines = make_key(tmp_path)
    (install_provider(tmp_path) / "genai_prices.py").write_text("raise ImportError\n")
    for workers in ("1", "2"):
        unpriced = PRICED.partition("[prices")[0]
        served = start(
            tmp_path, "--port", "0", "--workers", workers, settings=f"{unpriced}{STORE}{lines}usd_per_month = 5\n"
        )
        assert served.process.wait(60) == 2
        written = "".join(served.end())
        assert "gateway.keys.web has a budget in USD" in written
        assert "pip install 'kickai-providers-core[report]'" in written
        assert "Traceback" not in written


def test_the_table_has_the_prices_of_the_settings(tmp_path):
    """Of the instance's own model, and of one that only the prices name."""
    site = install_provider(tmp_path)
    (tmp_path / "kickai.toml").write_text(
        f'{PRICED}[prices.models."one:named"]\ninput_usd_per_million = 3.0\n', encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "kickai_gateway.price_process", str(tmp_path / "kickai.toml")],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join((str(site), str(TESTS))), "HOME": str(tmp_path)},
        capture_output=True,
        check=True,
        timeout=120,
    )
    prices = PriceTable.from_json(json.loads(done.stdout)["prices"])
    million = Usage(input_tokens=10**6, output_tokens=0)
    assert prices.price(Target("one", "large"), million) == NANO_PER_USD
    assert prices.price(Target("one", "named"), million) == 3 * NANO_PER_USD
