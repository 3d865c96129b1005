"""Write the complete programs of the documentation to files, for a type checker: ``programs.py FOLDER``."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r'^```python(?: title="(\w+\.py)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
IMPORTS = re.compile(r"(from|import) ")
CHAIN = re.compile(r"\bllm\b(?! =)")
"""A complete program has a title, or begins with its imports and makes its chain. All other blocks are fragments."""

FICTIONAL = ("my_store", "vendorsdk")
"""Modules that exist in the documentation only."""

CONFIGURATION = {
    "exclude": [],  # else pyright leaves out hidden folders
    "include": ["."],
    "reportMissingModuleSource": "none",
    "reportPossiblyUnboundVariable": "none",  # a program may raise an error outside of the handler that made it
}
"""Settings for pyright."""


def write_programs(folder: Path) -> list[Path]:
    """Write each complete program to a file named after its title, or after its page and position.

    Raises:
        ValueError: The pages have no program in the form that this script expects.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyrightconfig.json").write_text(json.dumps(CONFIGURATION), encoding="utf-8")
    for name in FICTIONAL:
        stub = "from typing import Any\n\ndef __getattr__(name: str) -> Any: ...\n"
        (folder / f"{name}.pyi").write_text(stub, encoding="utf-8")
    written = []
    for page in PAGES:
        for number, (title, block) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), 1):
            source = textwrap.dedent(block)
            is_fragment = not IMPORTS.match(source) or (CHAIN.search(source) and "llm = " not in source)
            if title or not is_fragment:
                path = folder / (title or f"{re.sub(r'[^a-z]', '_', page.stem.lower())}_{number}.py")
                path.write_text(source, encoding="utf-8")
                written.append(path)
    if not written:
        raise ValueError(f"found no program in the pages of {ROOT}")
    return written


if __name__ == "__main__":
    print(*write_programs(Path(sys.argv[1])), sep="\n")
