"""The guide's provider, made into a distribution outside this repository, installs and passes the kit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "writing-a-provider.md"
FILES = re.compile(r'^```\w+ title="(.+?)"\n(.*?)^```$', re.DOTALL | re.MULTILINE)
RUN_S = 60.0
"""The time limit for a run of the kit, in seconds."""

ATTEMPTS = 3
"""A run that takes too long is repeated: a busy machine delays some runs, a slow kit delays all."""

TWICE = "    if status == 503 and timeout_s > 1:\n        kickai_invoke_provider(provider, request, 1)\n"

FAULTS = {
    "test_429_is_rate_limited": ("429: core.RateLimitedError", "429: core.InvalidRequestError"),
    "test_401_is_an_authentication_error": ("401: core.AuthenticationError", "401: core.ModelNotFoundError"),
    "test_402_is_quota_exhausted": ("402: core.QuotaExhaustedError", "402: core.RateLimitedError"),
    "test_a_malformed_body_is_an_invalid_reply": (
        'raise core.InvalidReplyError("Osprey answered with something else than an answer") from None',
        "return None",
    ),
    "test_a_refused_connection_is_unavailable": ("except (OSError, HTTPException):", "except HTTPException:"),
    "test_the_key_is_in_no_connection_error": (
        'raise core.ProviderUnavailableError("Osprey cannot be reached", reached=reached) from None',
        "raise core.ProviderUnavailableError(provider.key.reveal(), reached=reached) from None",
    ),
    "test_the_key_is_in_no_url": ('"/chat"', 'f"/chat?key={provider.key.reveal()}"'),
    "test_nothing_secret_is_logged": (
        "            answer = line",
        "            print(provider.key.reveal())\n            answer = line",
    ),
    "test_nothing_is_retried": ("    if status != 200:\n", f"{TWICE}    if status != 200:\n"),
    "test_a_retry_after_date_is_kept": ("core.retry_after_s(delay)", "float(delay) if delay.isdecimal() else None"),
    "test_usage_is_counted": ("usage=usage, ", ""),
    "test_the_request_is_not_changed": (
        "    if status != 200:\n",
        '    object.__setattr__(request, "stop", ())\n    if status != 200:\n',
    ),
    "test_the_model_is_asked_for": (
        "json.dumps(asdict(request))",
        'json.dumps({**asdict(request), "model": "osprey-1"})',
    ),
    "test_a_dripping_body_times_out": ('summary="Osprey",', 'summary="Osprey", holds_timeouts=True,'),
    "test_no_socket_is_left": (
        "with closing(HTTPConnection(provider.host, timeout=timeout_s)) as line:",
        "for line in [HTTPConnection(provider.host, timeout=timeout_s)]:",
    ),
    "test_a_missing_key_is_a_problem": ("return [] if settings.key else", "return [] if settings.host else"),
}
"""From the test that finds a fault to the change of the guide's provider that plants the fault."""


def run(*command, **options):
    """Run a command and return its output; fail with the output when the command fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def stranger(make_once):
    """Return the folder of the guide's distribution, and the interpreter of an environment with it and the core."""
    if (
        shutil.which("uv") is None
        and subprocess.run([sys.executable, "-c", "import ensurepip"], check=False).returncode
    ):
        reason = "neither uv nor pip is installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    home = make_once("stranger", install)
    return home, python_in(home)


def python_in(home):
    """Return the interpreter of the environment in a folder."""
    return home / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"


def install(home):
    """Write the guide's distribution to a folder, and install it with the core's wheel into an environment there."""
    files = dict(FILES.findall(GUIDE.read_text(encoding="utf-8")))
    for name in ("kickai_osprey.py", "pyproject.toml", "test_osprey.py"):
        path = home / ("tests" if name.startswith("test_") else "osprey") / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(files[name], encoding="utf-8")
    wheels, python = home / "wheels", python_in(home)
    if uv := shutil.which("uv"):
        run(uv, "build", "--quiet", "--wheel", "--out-dir", wheels, ROOT)
        run(uv, "venv", "--quiet", "--python", sys.executable, home / "venv")
        command = (uv, "pip", "install", "--quiet", "--python", python)
    else:
        run(sys.executable, "-m", "venv", home / "venv")
        command = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, ROOT)
    (wheel,) = wheels.glob("kickai_providers_core-*.whl")
    run(*command, f"kickai-providers-core[testing] @ {wheel.as_uri()}", home / "osprey")


def prove(python, folder, *options):
    """Run the guide's tests in a folder; return the exit code of pytest and its output."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "KICKAI"))
    }
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    return done.returncode, done.stdout


def test_the_strangers_provider_passes(stranger):
    """Installed with the core's wheel, the guide's provider is discovered, and passes the kit within a minute."""
    home, python = stranger
    program = (
        "from kickai_providers_core.plugin_api.discovery import *;"
        "print(discover(find_entry_points()).find('osprey').distribution)"
    )
    assert run(python, "-c", program, cwd=home / "tests").strip() == "kickai-osprey"
    for _ in range(ATTEMPTS):
        began = time.perf_counter()
        code, printed = prove(python, home / "tests")
        took_s = time.perf_counter() - began
        assert code == 0, printed
        if took_s < RUN_S:
            break
    assert took_s < RUN_S
    assert int(re.search(r"(\d+) passed", printed)[1]) > 400


def test_planted_faults_are_found(stranger, tmp_path):
    """Each planted fault is found by its test."""
    home, python = stranger
    source = (home / "osprey" / "kickai_osprey.py").read_text(encoding="utf-8")

    def planted(name):
        good, bad = FAULTS[name]
        assert source.count(good) == 1, f"{good!r} is not found exactly once in the guide's provider"
        folder = tmp_path / name
        shutil.copytree(home / "tests", folder)
        (folder / "kickai_osprey.py").write_text(source.replace(good, bad), encoding="utf-8")
        return name, *prove(python, folder, "-x", "-k", name)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(planted, FAULTS))
    for name, code, printed in outcomes:
        assert code == 1, f"{name} did not find its fault\n{printed}"
        assert re.search(rf"^FAILED .*::{name}\b", printed, re.MULTILINE), printed
