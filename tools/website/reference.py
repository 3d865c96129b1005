"""The pages that exist on the site only: the reference of the public names, and llms.txt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import kickai_providers_core
from kickai_providers_core import authoring, testing
from kickai_providers_core.authoring import openai_chat
from kickai_providers_core.testing import faults

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import ModuleType

__all__ = ["write_llms_txt", "write_reference"]

MODULES = {
    "resolver": (
        "Resolver, chains and streams",
        [
            *("resolver.Resolver", "chain.Chain", "reply_streams", "tool_loop", "batching", "values.call_options"),
            *("values.rollout_key", "concurrency.clock"),
        ],
    ),
    "values": (
        "Requests, replies and events",
        [
            f"values.{name}"
            for name in (
                *("requests", "messages", "images", "tools", "replies", "usage", "attempts", "trace", "targets"),
                *("secrets", "retry_after", "events"),
            )
        ],
    ),
    "errors": ("Errors", ["values.errors", "values.base_errors", "values.problems"]),
    "settings": (
        "Settings in code",
        [
            *(
                f"config.{name}"
                for name in ("settings", "roles", "store_settings", "price_settings", "monitor_settings")
            ),
            *(f"resilience.{name}" for name in ("policy", "rollout_settings", "guard_settings")),
            "resilience.breaker.BreakerSettings",
        ],
    ),
    "plugin-api": (
        "Plugin API",
        [f"plugin_api.{name}" for name in ("hookspecs", "presets", "settings", "attempt_timer")],
    ),
    "stores": ("Stores", ["stores.api", "stores.cells", "stores.retention"]),
    "testing": (
        "Testing kits",
        [
            "testing.contract.helpers.spec",
            "testing.fault_matrix.rows",
            "testing.store_contract.spec",
            "testing.faults.wire",
        ],
    ),
    "authoring": ("Authoring toolkit", ["values.plain_text.clean_text"]),
    "compat": ("Names of the migration plan", ["compat"]),
}
"""The pages of the reference: the title, and the modules or classes within the core."""

PACKAGES = {"testing": (testing, faults), "authoring": (authoring, openai_chat)}
"""Pages that also have all public names of packages."""

PUBLIC = "kickai_providers_core"


def write_reference(folder: Path) -> None:
    """Write a page for each part of the public names, for mkdocstrings to fill in."""
    target = folder / "reference"
    target.mkdir(parents=True, exist_ok=True)
    for name, (title, parts) in MODULES.items():
        paths = [f"{PUBLIC}.{part}" for part in parts] + _find_modules(PACKAGES.get(name, ()))
        blocks = [f"::: {path}" for path in paths]
        (target / f"{name}.md").write_text("\n\n".join([f"# {title}", *blocks, ""]), encoding="utf-8")
    names = "\n".join(f"- `{name}`" for name in kickai_providers_core.__all__)
    rows = "\n".join(f"- [{title}]({name}.md)" for name, (title, _) in MODULES.items())
    text = f"# Reference\n\nFrom the docstrings of the code.\n\n{rows}\n\n## Names of `{PUBLIC}`\n\n{names}\n"
    (target / "index.md").write_text(text, encoding="utf-8")


def _find_modules(packages: Sequence[ModuleType]) -> list[str]:
    """Return the modules within packages that define their public names."""
    return sorted(
        {
            found.__module__
            for package in packages
            for name in package.__all__
            if getattr(found := getattr(package, name), "__module__", "").startswith(f"{package.__name__}.")
        }
    )


def write_llms_txt(folder: Path, site: Path, pages: Sequence[str]) -> None:
    """Write llms.txt (https://llmstxt.org): the title, the summary, and each page with its first sentence.

    Args:
        folder: The sources of the site.
        site: The built site.
        pages: The places of the pages, in the order of the navigation.
    """
    lines = [
        "# kickai-providers",
        "",
        "> Routes each LLM request to an installed provider that can answer it, and falls back",
    ]
    lines[-1] += " when one fails."
    lines += ["", "## Pages", ""]
    for place in pages:
        text = (folder / place).read_text(encoding="utf-8")
        title = re.search(r"^# (.+)$", text, re.MULTILINE)
        first = re.search(r"^(?![#<|`>*\-\[!:\s]).+(?:\n(?!\n).+)*", text, re.MULTILINE)
        summary = " ".join(first[0].split()) if first else ""
        sentence = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", summary).partition(". ")[0].rstrip(".:")
        heading = title[1] if title else place
        lines.append(f"- [{heading}]({place}){f': {sentence}' if sentence else ''}")
        target = site / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    (site / "llms.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
