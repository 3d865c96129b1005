"""Mutation testing: change the core's decisions in a thousand small ways, and check that the tests notice each.

``nox -s mutation``, or ``python tests/mutation/run.py [MODULE …]`` with mutmut and the tests' requirements installed.
It works on a copy. The exit code is 1 when less than 95 % of a module's mutants are killed, or when a mutant survives
that `survivors.toml` does not explain. Outdated entries of that file are printed.
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
DECISIONS = (
    *("walk", "failure_effects", "last_resort", "candidates", "recorder", "policy", "breaker", "health"),
    *("retry_budget", "rate_limiter", "hedging", "routing", "tokens", "suspensions", "queueing", "running_calls"),
)
TESTS = (
    "unit/resilience/test_*.py",
    "property/test_[bciorw]*.py",
    "property/test_hedging.py",
    "property/test_suspensions.py",
)
KILLED_PER_CENT = 95.0
NOTICED = {"killed", "timeout", "segfault", "caught by type check"}

SETUP = """
[mutmut]
source_paths = src
only_mutate = {modules}
also_copy = README.md
timeout_constant = 20.0
timeout_multiplier = 4.0
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
    """Return the file of a module, in whichever folder it is."""
    (path,) = (ROOT / "src" / "kickai_providers_core").rglob(f"{module}.py")
    return path


def prepare(folder: Path, modules: list[str]) -> None:
    """Copy the sources and tests, and write the configuration of mutmut."""
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "testing", "cli"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    tests = [str(path.relative_to(ROOT)) for glob in TESTS for path in sorted((ROOT / "tests").glob(glob))]
    sources = [str(find_source(name).relative_to(ROOT)) for name in modules]
    (folder / "setup.cfg").write_text(
        SETUP.format(modules=format_list(sources), tests=format_list(tests)), encoding="utf-8"
    )


def judge(modules: list[str]) -> bool:
    """Print the results for the copy in the working directory; return whether enough mutants were killed."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.stats import status_by_exit_code

    explained = tomllib.loads(Path(__file__).with_name("survivors.toml").read_text(encoding="utf-8"))["survivor"]
    explained = [entry for entry in explained if entry["where"].partition(".")[0] in modules]
    survivors, passed = [], True
    for module in modules:
        data = SourceFileMutationData(path=find_source(module).relative_to(ROOT))
        data.load()
        statuses = Counter(status_by_exit_code[code] for code in data.exit_code_by_key.values())
        killed = sum(statuses[status] for status in NOTICED)
        share = 100.0 * killed / max(1, statuses.total())
        passed &= share >= KILLED_PER_CENT
        print(f"{module:10} {killed:4} of {statuses.total():4} killed, {share:5.1f} %  {dict(statuses)}")
        noticed = {key for key, code in data.exit_code_by_key.items() if status_by_exit_code[code] in NOTICED}
        survivors += [build_survivor(key) for key in data.exit_code_by_key if key not in noticed]
    unexplained = [one for one in survivors if not any(one.matches(entry) for entry in explained)]
    outdated = [entry for entry in explained if not any(one.matches(entry) for one in survivors)]
    for one in unexplained:
        print(f"\n# survives without an entry in survivors.toml\n{one}")
    for entry in outdated:
        print(f"\n# outdated entry of survivors.toml: does not survive\n{entry}")
    print(f"\n{len(survivors)} survivors, {len(unexplained)} of them unexplained, {len(outdated)} outdated entries")
    return passed and not unexplained


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
    modules = sys.argv[1:] or list(DECISIONS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, modules)
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(os.cpu_count() or 1)]
        done = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if not list((folder / "mutants").rglob("*.meta")) or done.returncode not in {0, 1}:
            print(done.stdout.decode()[-5000:])
            return 2
        os.chdir(folder)
        return 0 if judge(modules) else 1


if __name__ == "__main__":
    sys.exit(main())
