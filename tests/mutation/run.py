"""Mutation testing: change the core's decisions in a thousand small ways, and check that the tests notice each.

``nox -s mutation``, or ``python tests/mutation/run.py [MODULE …]`` with mutmut and the tests' requirements installed.
It works on a copy. The exit code is 1 when less than 95 % of a module's mutants are killed, or when a mutant survives
that `survivors.toml` does not explain, or that no test reaches. It is 2 when mutmut could not test the mutants, for
example because a test fails without any change, or when a module has no mutants. Outdated entries of `survivors.toml`
are printed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
ROLLOUTS = (
    *("evidence", "arm_counts", "step_evidence", "guard", "guard_settings"),
    *("rollout", "rollout_transitions", "judged_attempts", "rollout_settings"),
)
REQUESTS = (
    *("walk", "failure_attribution", "last_resort", "candidates", "recorder", "policy", "breaker", "health"),
    *("condition", "retry_budget", "rate_limiter", "hedging", "routing", "tokens", "suspensions", "queueing"),
    *("running_calls", "probe_leases", "rate_allowances", "leased_limits"),
)
ROLLOUT_TESTS = (
    "unit/resilience/test_arm_counts.py",
    "unit/resilience/test_*evidence.py",
    "unit/resilience/test_guard*.py",
    "unit/resilience/test_judged_attempts.py",
    "unit/resilience/test_rollout*.py",
)
REQUEST_TESTS = (
    "unit/resilience/test_*.py",
    "property/test_[bciorw]*.py",
    "property/test_hedging.py",
    "property/test_shared_limits.py",
    "property/test_suspensions.py",
)
KILLED_PER_CENT = 95.0
NOTICED = {"killed", "timeout", "segfault", "caught by type check"}
JUDGED = {*NOTICED, "survived", "no tests"}

SETUP = """
[mutmut]
source_paths = src
only_mutate = {modules}
also_copy = README.md
timeout_constant = 10.0
timeout_multiplier = 3.0
pytest_add_cli_args = -p
    tests.mutation.quick
    --import-mode=importlib
    --no-header
pytest_add_cli_args_test_selection = {tests}
"""


@frozen
class Survivor:
    """A mutant that no test notices: its place, the original line and the changed one."""

    where: str
    was: str
    became: str

    def matches(self, entry: dict[str, str]) -> bool:
        """Return whether an entry of `survivors.toml` describes this mutant; without ``became`` any change matches."""
        is_same_line = (entry["where"], entry["was"]) == (self.where, self.was)
        return is_same_line and entry.get("became", self.became) == self.became

    def __str__(self) -> str:
        return f'[[survivor]]\nwhere = "{self.where}"\nwas = {self.was!r}\nbecame = {self.became!r}\nreason = ""'


def format_list(values: list[str]) -> str:
    """Return a list in the format of ``setup.cfg``."""
    return "\n    ".join(values)


def find_source(module: str) -> Path:
    """Return the file of a decision module."""
    return ROOT / "src" / "kickai_providers_core" / "resilience" / f"{module}.py"


def find_tests(modules: list[str]) -> list[Path]:
    """Return the tests of decision modules. Those of rollouts take long and reach no other module."""
    of_rollouts, of_requests = (
        [path for glob in globs for path in sorted((ROOT / "tests").glob(glob))]
        for globs in (ROLLOUT_TESTS, REQUEST_TESTS)
    )
    tests = [] if set(modules) <= set(ROLLOUTS) else [path for path in of_requests if path not in of_rollouts]
    return tests if set(modules) <= set(REQUESTS) else [*tests, *of_rollouts]


def prepare(folder: Path, modules: list[str]) -> None:
    """Copy the sources and tests, and write the configuration of mutmut."""
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "testing", "cli"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    tests = [str(path.relative_to(ROOT)) for path in find_tests(modules)]
    sources = [str(find_source(name).relative_to(ROOT)) for name in modules]
    (folder / "setup.cfg").write_text(
        SETUP.format(modules=format_list(sources), tests=format_list(tests)), encoding="utf-8"
    )


def read_results(modules: list[str]) -> dict[str, dict[str, str]]:
    """Return the status of each mutant of each module, from the copy in the working directory."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.stats import status_by_exit_code

    results = {}
    for module in modules:
        data = SourceFileMutationData(path=find_source(module).relative_to(ROOT))
        data.load()
        results[module] = {key: status_by_exit_code[code] for key, code in data.exit_code_by_key.items()}
    return results


def find_gaps(results: dict[str, dict[str, str]]) -> list[str]:
    """Return what keeps the results from being judged, one line for each module that has none or not all of them."""
    gaps = []
    for module, statuses in results.items():
        unjudged = Counter(status for status in statuses.values() if status not in JUDGED)
        if not statuses:
            gaps.append(f"{module}: mutmut made no mutants; is it a module with functions?")
        elif unjudged:
            gaps.append(f"{module}: {unjudged.total()} of {len(statuses)} mutants were not tested: {dict(unjudged)}")
    return gaps


def judge(results: dict[str, dict[str, str]]) -> bool:
    """Print the results; return whether enough mutants were killed, and all others are explained."""
    explained = tomllib.loads(Path(__file__).with_name("survivors.toml").read_text(encoding="utf-8"))["survivor"]
    explained = [entry for entry in explained if entry["where"].partition(".")[0] in results]
    survivors, untested, passed = [], Counter(), True
    for module, statuses in results.items():
        counts = Counter(statuses.values())
        killed = sum(counts[status] for status in NOTICED)
        share = 100.0 * killed / counts.total()
        passed &= share >= KILLED_PER_CENT
        print(f"{module:16} {killed:4} of {counts.total():4} killed, {share:5.1f} %  {dict(counts)}")
        survivors += [build_survivor(key) for key, status in statuses.items() if status == "survived"]
        untested += Counter(build_survivor(key).where for key, status in statuses.items() if status == "no tests")
    unexplained = [one for one in survivors if not any(one.matches(entry) for entry in explained)]
    outdated = [entry for entry in explained if not any(one.matches(entry) for one in survivors)]
    for where, mutants in untested.items():
        print(f"\n# no test reaches {where}, which has mutants: {mutants}")
    for one in unexplained:
        print(f"\n# survives without an entry in survivors.toml\n{one}")
    for entry in outdated:
        print(f"\n# outdated entry of survivors.toml: does not survive\n{entry}")
    print(f"\n{len(survivors)} survivors, {len(unexplained)} of them unexplained, {len(outdated)} outdated entries")
    return passed and not unexplained and not untested


def build_survivor(key: str) -> Survivor:
    """Return what one of mutmut's mutants changes."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    function, owner = orig_function_and_class_names_from_key(key)
    module = key.split(".")[-2]
    lines = [line for line in get_diff_for_mutant(key).splitlines() if not line.startswith(("+++", "---"))]
    was, became = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return Survivor(where=".".join(filter(None, (module, owner, function))), was=was, became=became)


def main() -> int:
    """Run mutmut on a copy, and check its results."""
    modules = sys.argv[1:] or [*REQUESTS, *ROLLOUTS]
    unknown = sorted(set(modules) - {*REQUESTS, *ROLLOUTS})
    if unknown:
        print(
            f"unknown module {', '.join(unknown)} (known: {', '.join(sorted([*REQUESTS, *ROLLOUTS]))})", file=sys.stderr
        )
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, modules)
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(os.cpu_count() or 1)]
        done = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.chdir(folder)
        results = read_results(modules)
        gaps = find_gaps(results)
        if gaps:
            output = done.stdout.decode(errors="replace")[-5000:]
            print(output, f"mutmut ended with exit code {done.returncode}; its output is above", *gaps, sep="\n")
            return 2
        return 0 if judge(results) else 1


if __name__ == "__main__":
    sys.exit(main())
