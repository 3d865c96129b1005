"""Runs a Prometheus server, and reads what an application serves to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find_program", "parse_exposition", "query", "run_prometheus"]

CONFIG = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: application
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

LONG_S = 60
"""Seconds within which the server answers, many times what it needs."""


def find_program(name: str) -> str:
    """Return the path of a program; without it, skip the test, or fail it where ``KICKAI_NEEDS_PROMETHEUS`` is set."""
    path = shutil.which(name)
    if path is None:
        (pytest.fail if os.environ.get("KICKAI_NEEDS_PROMETHEUS") else pytest.skip)(f"{name} is not installed")
    return path


def parse_exposition(text: str) -> dict[str, set[str]]:
    """Return the labels of each metric of a scrape."""
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


@contextmanager
def run_prometheus(folder: Path, port: int, rules: Path) -> Iterator[str]:
    """Run a server that scrapes a port of this machine, and yield its address."""
    program = find_program("prometheus")
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(port=port, rules=json.dumps(str(rules))), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    arguments = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={listen}"]
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen([program, *arguments], stdout=output, stderr=output)
    try:
        _wait_until_ready(f"http://{listen}/-/ready", process, log)
        yield f"http://{listen}"
    finally:
        process.terminate()
        process.wait(LONG_S)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + LONG_S
    while time.monotonic() < ends:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=LONG_S):  # noqa: S310
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    pytest.fail(log.read_text())


def query(address: str, expression: str) -> list[Any]:
    """Return the series of an instant query."""
    url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(url, timeout=LONG_S) as response:  # noqa: S310
            answer = json.load(response)
    except urllib.error.HTTPError as exc:
        pytest.fail(f"{expression}: {exc.read().decode()}")
    assert answer["status"] == "success", answer
    return answer["data"]["result"]
