"""How large modules, classes, functions and parameter lists are. It prints the largest of each."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")])
TAIL = 5


def lines_of_modules() -> Iterator[tuple[int, str]]:
    """Yield the number of lines of each module."""
    for path in SOURCES:
        yield path.read_text(encoding="utf-8").count("\n"), str(path.relative_to(ROOT))


@functools.cache
def nodes() -> list[tuple[str, ast.AST]]:
    """Return each definition of each module, with its module's path."""
    definitions = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return [
        (str(path.relative_to(ROOT)), node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, definitions)
    ]


def methods_of_classes() -> Iterator[tuple[int, str]]:
    """Yield the number of methods of each class, without those that Python calls itself."""
    for path, node in nodes():
        if isinstance(node, ast.ClassDef):
            names = [each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
            yield sum(not name.startswith("__") for name in names), f"{path} {node.name}"


def lines_of_functions() -> Iterator[tuple[int, str]]:
    """Yield the number of lines of each function's body, without its docstring."""
    for path, node in nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            yield (node.end_lineno or 0) - first.lineno + 1, f"{path} {node.name}"


def parameters_of_functions() -> Iterator[tuple[int, str]]:
    """Yield the number of parameters of each function, without ``self``, and without a command's options."""
    for path, node in nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            is_command = any("click.option" in ast.unparse(decorator) for decorator in node.decorator_list)
            yield 0 if is_command else sum(name not in {"self", "cls"} for name in names), f"{path} {node.name}"


LIMITS = {lines_of_modules: 400, methods_of_classes: 16, lines_of_functions: 60, parameters_of_functions: 10}


def test_nothing_is_too_large() -> None:
    """The limits are for the tails; most of the code is far below them."""
    too_large = []
    for measure, limit in LIMITS.items():
        largest = sorted(measure(), reverse=True)[:TAIL]
        print(measure.__name__, *(f"{size:5} {name}" for size, name in largest), sep="\n")
        too_large += [f"{name}: {size} {measure.__name__}, limit {limit}" for size, name in largest if size > limit]
    assert too_large == []
