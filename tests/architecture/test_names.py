"""Names: no two modules of a package define the same function, class or type, and functions are named by verbs."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src" / "kickai_providers_core"
PACKAGES = [CORE, *sorted(path.parent for path in ROOT.glob("plugins/*/src/*/__init__.py"))]
EXCEPTIONS = {
    "command": "each module of the command line defines its own, and they are found by this name",
    "main": "what a module does that is started as a program",
    "run": "the command line's, and the public function for tools",
    "invoke": "a driver of a walk and its hedged form have the names of the hooks that they call",
    "ainvoke": "as invoke",
    "LifecycleTests": "a part of the kit for providers, and one of the kit for stores; neither is used by this name",
}


def defined_names(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield the public functions, classes and type aliases that statements define.

    A constant in capitals belongs to its module, and a type variable of one letter is a letter.
    """
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [each.id for each in targets if isinstance(each, ast.Name) and not each.id.isupper()]
        else:
            names = []
            is_program = isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)
            if isinstance(node, ast.If | ast.Try) and not is_program:
                yield from defined_names([*node.body, *node.orelse])
        yield from (name for name in names if not name.startswith("_"))


def find_repeated(package: Path) -> dict[str, list[str]]:
    """Return the names that several modules define, each with these modules."""
    modules = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        for name in set(defined_names(ast.parse(path.read_text(encoding="utf-8")).body)):
            modules[name].append(str(path.relative_to(package)))
    return {name: found for name, found in sorted(modules.items()) if len(found) > 1}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_each_name_is_defined_once(package: Path) -> None:
    """Rename one of the two to say what it is, or delete it if both do the same."""
    assert {name: found for name, found in find_repeated(package).items() if name not in EXCEPTIONS} == {}


def test_each_exception_is_needed() -> None:
    """A name that the core defines once needs no exception."""
    assert EXCEPTIONS.keys() <= find_repeated(CORE).keys()


def test_a_repeated_name_is_found(tmp_path: Path) -> None:
    """Functions, classes and aliases are found, also below a condition; private names and constants are ignored."""
    ignored = "LIMIT = 1\nT = 2\ndef _own(): ...\nif __name__ == '__main__':\n    result = judge()\n"
    one = "def judge(): ...\nclass Tally: ...\nKind = str\nif LIMIT:\n    Deep: type = int\n"
    two = "async def judge(): ...\nclass Tally: ...\nKind = int\nclass Deep: ...\nclass Single: ...\n"
    (tmp_path / "one.py").write_text(ignored + one)
    (tmp_path / "two.py").write_text(ignored + two)
    assert find_repeated(tmp_path) == {name: ["one.py", "two.py"] for name in ("Deep", "Kind", "Tally", "judge")}


VERBS_IN_ED = {"need", "feed", "embed", "seed", "shed", "speed", "proceed", "exceed", "succeed"}
NOT_VERBS = {
    "of": "Message.of, Tool.of and Target.of have the name of the first releases",
    "kind_of": "a public method of Settings",
    "source_of": "a public method of Settings",
    "stated_delay_s": "a public method of Policy",
    "closed_port": "a public fixture of the fault server",
    "shared_options": "a decorator",
    "marked_interpreter": "a context manager",
}


def find_nouns(source: str) -> set[str]:
    """Return the functions that are named by a participle, or that end in ``of``; properties are values."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    names = {node.name for node in functions if not any("property" in ast.unparse(d) for d in node.decorator_list)}
    first_words = {name: name.strip("_").split("_")[0] for name in names}
    participles = {name for name, word in first_words.items() if word.endswith("ed") and word not in VERBS_IN_ED}
    return participles | {name for name in names if name == "of" or name.endswith("_of")}


def test_no_function_is_named_by_a_participle() -> None:
    """Name it by what it does: `validate` and not ``checked``, `find_owner` and not ``owner_of``."""
    found = {name for package in PACKAGES for path in package.rglob("*.py") for name in find_nouns(path.read_text())}
    assert found == NOT_VERBS.keys()


def test_participles_are_found() -> None:
    """Private functions and methods are found; verbs and properties are not."""
    source = (
        "def _listed(): ...\nclass A:\n    async def owner_of(self): ...\n    @property\n    def closed(self): ...\n"
    )
    assert find_nouns(f"{source}def feed_all(): ...\ndef of(): ...\n") == {"_listed", "owner_of", "of"}
