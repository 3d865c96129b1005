"""The dashboard and the alert rules: their queries find what the plugin emits."""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from prometheus import find_program, parse_exposition, query, run_prometheus
from prometheus_client import start_http_server
from scene import Scene
from traffic import Traffic

from kickai_otel import metric_table

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1]
ALERTS = FOLDER / "alerts.yml"
DASHBOARD = json.loads((FOLDER / "dashboards" / "kickai.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = {f"{panel['title']} {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]}
RULES = {rule["alert"]: rule["expr"] for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]}

SELECTOR = re.compile(r"\b((?:kickai|gen_ai)_\w+)(?:\{([^}]*)\}|(?=\[))")
GROUPING = re.compile(r"\b(?:by|ignoring) \(([^)]*)\)")

LONG_S = 240
"""Seconds after which a query that still finds nothing fails the test, many times what it needs."""


@pytest.fixture
def endpoint() -> Iterator[tuple[Traffic, int]]:
    """Traffic, and the port of the HTTP endpoint that serves its metrics."""
    scene = Scene(reader=PrometheusMetricReader())
    server, thread = start_http_server(0, addr="127.0.0.1")
    try:
        with Traffic(scene) as traffic:
            yield traffic, server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        scene.close()


def scrape(port: int) -> str:
    """Return what the endpoint serves."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LONG_S) as response:
        return response.read().decode()


def fill_in(expression: str) -> str:
    """Replace the dashboard's variables as Grafana does."""
    return expression.replace("$__rate_interval", "30s").replace("$role", ".*")


def find_selected(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric of a query, and the labels by which the query selects its series."""
    for metric, matchers in SELECTOR.findall(expression):
        yield metric, set(re.findall(r'(\w+)(?:=~|!=|=)"', matchers))


def find_grouped(expression: str) -> set[str]:
    """Return the labels by which a query groups."""
    return {label.strip() for labels in GROUPING.findall(expression) for label in labels.split(",")}


def test_every_metric_and_label_of_the_queries_is_served(endpoint):
    """The names that Prometheus scrapes are those that the dashboard and the alerts query."""
    traffic, port = endpoint
    traffic.send()
    served = parse_exposition(scrape(port))

    for title, expression in {**QUERIES, **RULES}.items():
        found = list(find_selected(expression))
        assert found, f"{title}: no metric in {expression}"
        for metric, labels in found:
            assert metric in served, f"{title}: {metric} is not served"
            assert labels <= served[metric], f"{title}: {metric} has no {labels - served[metric]}"
        unknown = find_grouped(expression) - set().union(*(served[metric] for metric, _ in found))
        assert not unknown, f"{title}: no metric has {unknown}"


def test_every_metric_is_served_and_shown(endpoint):
    """Each metric of the table is in a scrape and on the dashboard."""
    traffic, port = endpoint
    traffic.send()
    served, shown = set(parse_exposition(scrape(port))), " ".join(QUERIES.values())

    for metric in metric_table.METRICS:
        if metric.is_previous:
            continue
        stem = metric.name.replace(".", "_")
        stem = f"{stem}_seconds_count" if metric.unit == "s" else f"{stem}_total"
        assert stem in served
        assert stem.removesuffix("_count") in shown


def test_the_dashboard_is_complete():
    """Each panel has a title, a description, a unit and a place of its own, and uses the chosen data source."""
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = set()
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & places, f"{panel['title']} covers another panel"
        assert place["x"] + place["w"] <= 24
        places |= cells
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "role"]


@pytest.mark.slow
def test_every_query_finds_something_in_prometheus(endpoint, tmp_path):
    """A real server scrapes the endpoint while requests are made; no query returns nothing or NaN only."""
    traffic, port = endpoint
    find_program("prometheus")
    pending = {title: fill_in(expression) for title, expression in QUERIES.items()}
    with run_prometheus(tmp_path, port, ALERTS) as address:
        ends = time.monotonic() + LONG_S
        while pending and time.monotonic() < ends:
            traffic.send()
            for title, expression in tuple(pending.items()):
                values = [float(series["value"][1]) for series in query(address, expression)]
                if any(math.isfinite(value) and value > 0 for value in values):
                    del pending[title]
        assert not pending
        roles = query(address, "count by (kickai_role) (kickai_request_duration_seconds_count)")
        for expression in RULES.values():
            query(address, expression)
    assert {series["metric"].get("kickai_role") for series in roles} == {None, "scout", "coach"}


def test_the_alert_rules_are_valid():
    """As Prometheus's own tool judges."""
    program = find_program("promtool")
    subprocess.run([program, "check", "rules", str(ALERTS)], check=True, capture_output=True)


def test_each_alert_fires_in_its_situation_only(tmp_path):
    """As the rule tests of Prometheus's own tool say."""
    program = find_program("promtool")
    tests = tmp_path / "alerts_test.yml"
    written = (Path(__file__).parent / "alerts_test.yml").read_text(encoding="utf-8")
    tests.write_text(written.replace("ALERTS", json.dumps(str(ALERTS))), encoding="utf-8")
    done = subprocess.run([program, "test", "rules", str(tests)], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested():
    """Each rule has a test in which it fires and one in which it does not."""
    tests = yaml.safe_load((Path(__file__).parent / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]

    for alert in RULES:
        outcomes = {bool(case["exp_alerts"]) for case in cases if case["alertname"] == alert}
        assert outcomes == {True, False}, alert


def test_each_alert_has_its_row_in_the_readme():
    """In the order of the rules."""
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")

    assert re.findall(r"^\| `(Kickai\w+)` \|", readme, re.MULTILINE) == list(RULES)
