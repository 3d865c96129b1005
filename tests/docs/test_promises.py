"""The table of guarantees is complete: each linked test exists and names its guarantee, and none is missing."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees-and-tests.md"
PROMISES = range(1, 10)
KINDS = ("property", "unit", "integration", "soak")
ROW = re.compile(r"^\| (\d+) \| .+? \| (.+) \|$", re.MULTILINE)
LINK = re.compile(r"\[`(\w+)`\]\(\.\./(tests/[\w/]+\.py)\)")
PROMISE = re.compile(r"\bPromises? (\d+(?:(?:, | and )\d+)*)")


def find_linked_tests() -> dict[int, set[tuple[str, str]]]:
    """Return the tests that the page links, by guarantee: each a file and a name."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    return {int(number): {(path, name) for name, path in LINK.findall(tests)} for number, tests in rows}


@cache
def read_docstrings(path: str) -> dict[str, str]:
    """Return the docstring of each test of a file, by name; for a test case, that of its state machine."""
    found: dict[str, str] = {}
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = ast.get_docstring(node) or ""
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute) and node.value.attr == "TestCase":
            found[ast.unparse(node.targets[0])] = found[ast.unparse(node.value.value)]
    return {name: docstring for name, docstring in found.items() if name.lower().startswith("test")}


def find_promises(docstring: str) -> set[int]:
    """Return the numbers of the guarantees that a docstring names."""
    return {int(number) for numbers in PROMISE.findall(docstring) for number in re.findall(r"\d+", numbers)}


def test_each_guarantee_has_a_row() -> None:
    """The rows are numbered from 1, and none is missing."""
    assert list(find_linked_tests()) == list(PROMISES)


@pytest.mark.parametrize("promise", PROMISES)
def test_each_linked_test_exists_and_names_its_guarantee(promise: int) -> None:
    """A link leads to a file, its text is a test in that file, and the test's docstring names the guarantee."""
    for path, name in find_linked_tests()[promise]:
        assert (ROOT / path).is_file(), f"guarantee {promise} links to {path}, which does not exist"
        assert name in read_docstrings(path), f"guarantee {promise} links to {name}, which is not in {path}"
        assert promise in find_promises(read_docstrings(path)[name]), (
            f"{name} in {path} does not name promise {promise}"
        )


@pytest.mark.parametrize("promise", PROMISES)
def test_each_guarantee_has_a_property_test(promise: int) -> None:
    """Each guarantee is tested for arbitrary sequences of events, and not by examples alone."""
    assert [name for path, name in find_linked_tests()[promise] if path.startswith("tests/property/")]


@pytest.mark.parametrize("kind", KINDS)
def test_each_test_that_names_a_guarantee_is_linked(kind: str) -> None:
    """The page links every test whose docstring names a guarantee."""
    linked = {(promise, path, name) for promise, tests in find_linked_tests().items() for path, name in tests}
    for file in sorted((ROOT / "tests" / kind).rglob("test_*.py")):
        path = file.relative_to(ROOT).as_posix()
        for name, docstring in read_docstrings(path).items():
            missing = {(promise, path, name) for promise in find_promises(docstring)} - linked
            assert not missing, f"missing in {PAGE.name}: {missing}"
