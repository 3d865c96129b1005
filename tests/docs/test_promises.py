"""The table of promises is true: each test that it links exists and names the promise, and none is left out."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "walk.md"
PROMISES = range(1, 10)
KINDS = ("property", "unit", "integration", "soak")
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+) \|$", re.MULTILINE)
LINK = re.compile(r"\[`(\w+)`\]\(\.\./(tests/[\w/]+\.py)\)")
NAMED = re.compile(r"\bPromises? (\d+(?:(?:, | and )\d+)*)")


def table() -> dict[int, set[tuple[str, str]]]:
    """Return the tests that the page links, by promise: each a file and a name."""
    page = PAGE.read_text(encoding="utf-8").partition("## Promises, and what holds them")[2].partition("\n## ")[0]
    return {int(number): {(path, name) for name, path in LINK.findall(tests)} for number, _, tests in ROW.findall(page)}


@cache
def documented(path: str) -> dict[str, str]:
    """Return the docstrings of a file's tests by their names; a state machine's is that of its test case."""
    found: dict[str, str] = {}
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = ast.get_docstring(node) or ""
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute) and node.value.attr == "TestCase":
            found[ast.unparse(node.targets[0])] = found[ast.unparse(node.value.value)]
    return {name: docstring for name, docstring in found.items() if name.lower().startswith("test")}


def named(docstring: str) -> set[int]:
    """Return the promises that a docstring names."""
    return {int(number) for numbers in NAMED.findall(docstring) for number in re.findall(r"\d+", numbers)}


def test_each_promise_has_its_row() -> None:
    """They are numbered, and none is missing."""
    assert list(table()) == list(PROMISES)


@pytest.mark.parametrize("promise", PROMISES)
def test_each_linked_test_exists_and_names_its_promise(promise: int) -> None:
    """A link leads to a file, its text is a test of that file, and that test says which promise it holds."""
    for path, name in table()[promise]:
        assert (ROOT / path).is_file(), f"promise {promise} is held by {path}, which does not exist"
        assert name in documented(path), f"promise {promise} is held by {name}, which {path} does not have"
        assert promise in named(documented(path)[name]), f"{name} of {path} does not name promise {promise}"


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_has_a_property_test(promise: int) -> None:
    """An example alone does not hold it."""
    assert [name for path, name in table()[promise] if path.startswith("tests/property/")]


@pytest.mark.parametrize("kind", KINDS)
def test_no_test_that_names_a_promise_is_left_out(kind: str) -> None:
    """Whoever reads the page learns of all of them."""
    linked = {(promise, path, name) for promise, tests in table().items() for path, name in tests}
    for file in sorted((ROOT / "tests" / kind).rglob("test_*.py")):
        path = file.relative_to(ROOT).as_posix()
        for name, docstring in documented(path).items():
            assert {(promise, path, name) for promise in named(docstring)} <= linked
