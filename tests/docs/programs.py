"""Write the whole programs of the documentation, a file each, for a type checker: ``programs.py FOLDER``."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r'^```python(?: title="(\w+\.py)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
IMPORTS = re.compile(r"(from|import) ")
"""A program has a title, or begins with its imports; all other blocks show a part of one."""


def write_programs(folder: Path) -> list[Path]:
    """Write each block of Python that is a whole program into a file named after its title, or its page and place.

    Raises:
        ValueError: There is none: the pages have another form than this script knows.
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
        raise ValueError(f"no program in the pages of {ROOT}")
    return written


if __name__ == "__main__":
    print(*write_programs(Path(sys.argv[1])), sep="\n")
