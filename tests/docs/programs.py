"""Write the complete programs of the documentation to files, for a type checker: ``programs.py FOLDER``."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r'^```python(?: title="(\w+\.py)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
IMPORTS = re.compile(r"(from|import) ")
"""A complete program has a title or begins with its imports. All other blocks are fragments."""


def write_programs(folder: Path) -> list[Path]:
    """Write each complete program to a file named after its title, or after its page and position.

    Raises:
        ValueError: The pages have no program in the form that this script expects.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for page in PAGES:
        for number, (title, block) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), 1):
            source = textwrap.dedent(block)
            if title or IMPORTS.match(source):
                path = folder / (title or f"{re.sub(r'[^a-z]', '_', page.stem.lower())}_{number}.py")
                path.write_text(source, encoding="utf-8")
                written.append(path)
    if not written:
        raise ValueError(f"found no program in the pages of {ROOT}")
    return written


if __name__ == "__main__":
    print(*write_programs(Path(sys.argv[1])), sep="\n")
