"""The processes that are measured: their start, their processor time and their memory."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen
from load import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@frozen
class Measured:
    """A server and its process."""

    target: Target
    pid: int

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def memory_mb(self) -> float:
        """Resident memory, in MB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE / 1e6


def find_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], timeout_s: float = 120) -> None:
    """Wait until a server listens."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with exit code {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")


@contextmanager
def run(command: list[str], *, folder: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process within the ``with`` block; its output goes to a file of the folder."""
    with (folder / f"{Path(command[0]).name}.{len(list(folder.iterdir()))}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own commands
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextmanager
def run_upstream() -> Iterator[Measured]:
    """Run the upstream service."""
    process = subprocess.Popen([sys.executable, str(HERE / "upstream.py")], stdout=subprocess.PIPE)  # noqa: S603
    try:
        assert process.stdout is not None
        yield Measured(Target("upstream", int(process.stdout.readline())), process.pid)
    finally:
        process.kill()
        process.wait()


@contextmanager
def run_ours(upstream: Measured, folder: Path) -> Iterator[Measured]:
    """Run the gateway with one worker, with a store, and the upstream as its only provider."""
    port = find_port()
    settings = folder / "kickai.toml"
    settings.write_text(
        f"""
        [kickai]
        primary = "huggingface"
        fallback = []
        plugins = ["huggingface"]
        deadline_s = 900
        [providers.huggingface]
        base_url = "http://127.0.0.1:{upstream.target.port}/v1"
        token = "bench"
        idle_timeout_s = 800
        max_concurrency = 2000
        [store]
        url = "sqlite:///kickai.db"
        """,
        encoding="utf-8",
    )
    settings.chmod(0o600)
    program = str(Path(sys.executable).with_name("kickai"))
    with run([program, "serve", "--port", str(port), "--config", str(settings)], folder=folder) as process:
        wait_for_port(port, process)
        yield Measured(Target("kickai", port, "huggingface:"), process.pid)


@contextmanager
def run_litellm(python: str, upstream: Measured, folder: Path) -> Iterator[Measured]:
    """Run LiteLLM's proxy with one worker, in its own environment, with the upstream behind it."""
    port = find_port()
    settings = folder / "litellm.yaml"
    settings.write_text(
        f"""
model_list:
  - model_name: "*"
    litellm_params:
      model: "openai/*"
      api_base: http://127.0.0.1:{upstream.target.port}/v1
      api_key: bench
general_settings:
  master_key: sk-bench
""",
        encoding="utf-8",
    )
    program = str(Path(python).with_name("litellm"))
    env = {"LITELLM_TELEMETRY": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}
    options = ["--config", str(settings), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    with run([program, *options], folder=folder, env=env) as process:
        wait_for_port(port, process)
        yield Measured(Target("LiteLLM", port), process.pid)
