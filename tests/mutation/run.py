"""Change the decisions of the core in a thousand small ways, one at a time, and see whether the tests notice.

``nox -s mutation``, or ``python tests/mutation/run.py [MODULE …]`` with mutmut and the tests' requirements installed.
It works on a copy. The exit code is 1 when a module has less than 95 % of its mutants killed, or when one survives that
`survivors.toml` does not explain; what that file explains in vain is printed too.
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
    *("walk", "aftermath", "comeback", "link", "story", "policy", "breaker", "health"),
    *("budget", "gate", "hedging", "routing", "sizes"),
)
TESTS = (*(f"unit/test_{name}*.py" for name in (*DECISIONS, "meanwhile")), "property/test_[!s]*.py")
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
    --import-mode=prepend
    --no-header
pytest_add_cli_args_test_selection = {tests}
"""


@frozen
class Survivor:
    """A mutant that no test notices: where it is, what stood there, and what stands there now."""

    where: str
    was: str
    became: str

    def fits(self, told: dict[str, str]) -> bool:
        """Return whether an entry of `survivors.toml` is about this mutant; one without ``became`` is about any."""
        here = (told["where"], told["was"]) == (self.where, self.was)
        return here and told.get("became", self.became) == self.became

    def __str__(self) -> str:
        return f'[[survivor]]\nwhere = "{self.where}"\nwas = {self.was!r}\nbecame = {self.became!r}\nreason = ""'


def several(values: list[str]) -> str:
    """Return a list as it is written in a ``setup.cfg``."""
    return "\n    ".join(values)


def prepare(folder: Path, modules: list[str]) -> None:
    """Copy what is needed, and say what is to be changed."""
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "testing", "cli"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    tests = [str(path.relative_to(ROOT)) for glob in TESTS for path in sorted((ROOT / "tests").glob(glob))]
    sources = [f"src/kickai_providers_core/{name}.py" for name in modules]
    (folder / "setup.cfg").write_text(SETUP.format(modules=several(sources), tests=several(tests)), encoding="utf-8")


def judge(modules: list[str]) -> bool:
    """Print what became of the mutants of the copy in the working directory; return whether all is well."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.stats import status_by_exit_code

    explained = tomllib.loads(Path(__file__).with_name("survivors.toml").read_text(encoding="utf-8"))["survivor"]
    explained = [entry for entry in explained if entry["where"].partition(".")[0] in modules]
    survivors, well = [], True
    for module in modules:
        data = SourceFileMutationData(path=Path(f"src/kickai_providers_core/{module}.py"))
        data.load()
        came = Counter(status_by_exit_code[code] for code in data.exit_code_by_key.values())
        killed = sum(came[status] for status in NOTICED)
        share = 100.0 * killed / max(1, came.total())
        well &= share >= KILLED_PER_CENT
        print(f"{module:10} {killed:4} of {came.total():4} killed, {share:5.1f} %  {dict(came)}")
        noticed = {key for key, code in data.exit_code_by_key.items() if status_by_exit_code[code] in NOTICED}
        survivors += [survivor(key) for key in data.exit_code_by_key if key not in noticed]
    unexplained = [one for one in survivors if not any(one.fits(entry) for entry in explained)]
    outdated = [entry for entry in explained if not any(one.fits(entry) for one in survivors)]
    for one in unexplained:
        print(f"\n# survives, and survivors.toml does not say why\n{one}")
    for entry in outdated:
        print(f"\n# is in survivors.toml, and does not survive\n{entry}")
    print(f"\n{len(survivors)} survivors, {len(unexplained)} of them unexplained, {len(outdated)} explained in vain")
    return well and not unexplained


def survivor(key: str) -> Survivor:
    """Return what a mutant of mutmut changes."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    function, owner = orig_function_and_class_names_from_key(key)
    module = key.split(".")[1]
    lines = [line for line in get_diff_for_mutant(key).splitlines() if not line.startswith(("+++", "---"))]
    was, became = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return Survivor(where=".".join(filter(None, (module, owner, function))), was=was, became=became)


def main() -> int:
    """Mutate, test, judge."""
    modules = sys.argv[1:] or [name for name in DECISIONS if (ROOT / f"src/kickai_providers_core/{name}.py").is_file()]
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
