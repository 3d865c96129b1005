"""Build the site: ``python -m website FOLDER`` writes its sources and its pages below a folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from website.pages import Pages
from website.reference import MODULES, write_llms_txt, write_reference

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def main(folder: Path) -> int:
    """Write the sources, build the pages, and return the exit code of the build."""
    shutil.rmtree(folder, ignore_errors=True)
    sources = folder / "pages"
    pages = Pages.find(ROOT)
    pages.copy(sources)
    write_reference(sources)
    for name in ("extra.css", "extra.js"):
        shutil.copyfile(HERE / name, sources / name)
    navigation = complete_navigation(load_config()["nav"], pages)
    config = re.sub(r"^nav:.*\Z", "", (HERE / "mkdocs.yml").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    (folder / "mkdocs.yml").write_text(config + yaml.safe_dump({"nav": navigation}, sort_keys=False), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "zensical"), "build", "--strict", "--clean"]
    code = subprocess.run(command, cwd=folder, check=False).returncode  # noqa: S603  a fixed command
    if code == 0:
        write_llms_txt(sources, folder / "site", list_places(navigation))
        print(f"the site is in {folder / 'site'}")
    return code


def load_config() -> dict[str, Any]:
    """Return the configuration without the tags that only the builder knows."""

    class Loader(yaml.SafeLoader):
        """Reads tags of Python objects as their arguments."""

    Loader.add_multi_constructor(
        "tag:yaml.org,2002:python/", lambda loader, _, node: loader.construct_mapping(node, deep=True)
    )
    config: dict[str, Any] = yaml.load((HERE / "mkdocs.yml").read_text(encoding="utf-8"), Loader=Loader)  # noqa: S506
    return config


def complete_navigation(navigation: list[Any], pages: Pages) -> list[Any]:
    """Return the navigation with the pages of plugins, examples and the reference, and those that it does not list.

    Raises:
        ValueError: A page is there twice.
    """
    places = set(pages.places.values())
    for entry in navigation:
        ((title, children),) = entry.items()
        if title == "Plugins":
            children += [{Path(each).stem: each} for each in sorted(places) if each.startswith("plugins/")]
        elif title == "Tutorials":
            children += [{"Example: a crew": each} for each in sorted(places) if each.startswith("examples/")]
        elif title == "Reference":
            children += [{heading: f"reference/{name}.md"} for name, (heading, _) in MODULES.items()]
    listed = list_places(navigation)
    if len(set(listed)) != len(listed):
        raise ValueError(f"the navigation in {HERE / 'mkdocs.yml'} has a page twice")
    unlisted = sorted(places - set(listed))
    if unlisted:  # a new page; give it a place in mkdocs.yml
        navigation.append({"More": unlisted})
    return navigation


def list_places(navigation: list[Any]) -> list[str]:
    """Return the pages of a navigation in order."""
    found: list[str] = []
    for entry in navigation:
        values = [entry] if isinstance(entry, str) else list(entry.values())
        for value in values:
            found += list_places(value) if isinstance(value, list) else [value]
    return found


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
