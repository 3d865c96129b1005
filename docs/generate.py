"""Generate the parts of the documentation that come from the code: ``python docs/generate.py``.

A generated part is between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""
# ruff: noqa: INP001

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

from attrs import fields

from kickai_providers_core.cli.known_plugins import KINDS, read_directory
from kickai_providers_core.plugin_api import hookspecs
from kickai_providers_core.testing import faults

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from settings_tables import render_settings  # noqa: E402
from values_tables import render_values  # noqa: E402

PAGES = ("plugin-api.md", "writing-a-provider.md", "plugins.md", "settings-reference.md", "values.md")
PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
REQUIRED = ("kickai_provider_info", "kickai_create_provider")
ONE_REQUIRED = ("kickai_invoke_provider", "kickai_ainvoke_provider")


def list_hooks() -> list[str]:
    """Return the names of all hooks, in the order of the module."""
    return [name for name in vars(hookspecs) if name.startswith("kickai_")]


def render_hooks() -> str:
    """Return a section for each hook, in Markdown."""
    return "".join(map(render_hook, list_hooks())) + "\n"


def render_hook(name: str) -> str:
    """Return the section of one hook: its signature, description and parameters."""
    function = getattr(hookspecs, name)
    prose, *entries = re.split(r"^(?=:)", to_markdown(inspect.getdoc(function) or ""), flags=re.MULTILINE)
    needed = "Required of a provider." if name in REQUIRED else "Optional."
    needed = "One of the two is required of a provider." if name in ONE_REQUIRED else needed
    lines = [
        "",
        f"### `{name}`",
        "",
        "```python",
        f"def {name}{inspect.signature(function)}: ...".replace("'", ""),
        "```",
    ]
    return "\n".join([*lines, "", f"*{needed}* {prose.strip()}", "", *map(render_entry, entries), ""])


def render_entry(entry: str) -> str:
    """Return a line of a list for one ``:param x:``, ``:return:`` or ``:raises X:`` of a docstring."""
    label, _, words = entry[1:].partition(":")
    kind, _, what = label.partition(" ")
    text = " ".join(words.split())
    return {"param": f"* `{what}`: {text}", "return": f"* returns: {text}"}.get(kind, f"* raises `{what}`: {text}")


def to_markdown(text: str) -> str:
    """Return a docstring's text as Markdown: one backtick where reStructuredText has two."""
    return text.replace("``", "`")


def render_faults() -> str:
    """Return a table of the faults."""
    kinds = [getattr(faults, name) for name in faults.__all__ if name != "Fault"]
    rows = [
        f"| `{format_call(kind)}` | {to_markdown((inspect.getdoc(kind) or '').splitlines()[0])} |"
        for kind in kinds
        if inspect.isclass(kind) and issubclass(kind, faults.Fault)
    ]
    return "\n".join(["", "| fault | what the service does |", "|---|---|", *rows, "", ""])


def render_plugins() -> str:
    """Return a table of the plugins for each kind."""
    lines = []
    for kind in KINDS:
        rows = [known for known in read_directory() if known.kind == kind]
        if rows:
            lines += ["", f"## {TITLES[kind]}", "", "| package | name in settings | | needs |", "|---|---|---|---|"]
            lines += [
                f"| [`{row.package}`]({row.url}) | {f'`{row.name}`' * bool(row.name)} | {row.summary} | {row.needs} |"
                for row in rows
            ]
    return "\n".join([*lines, "", ""])


TITLES = {
    "provider": "Providers",
    "store": "Stores",
    "adapter": "Adapters for applications",
    "server": "Servers",
    "extension": "Extensions",
}


def format_call(kind: type) -> str:
    """Return the constructor call of a fault, with its fields."""
    return f"{kind.__name__}({', '.join(field.name for field in fields(kind))})"


PARTS = {
    "hooks": render_hooks,
    "faults": render_faults,
    "plugins": render_plugins,
    "settings": render_settings,
    "values": render_values,
}


def fill_in(page: str) -> str:
    """Return a page with up-to-date generated parts."""
    return PART.sub(lambda match: f"{match[1]}{PARTS[match[2]]()}{match[3]}", page)


if __name__ == "__main__":
    for name in PAGES:
        path = HERE / name
        path.write_text(fill_in(path.read_text(encoding="utf-8")), encoding="utf-8")
