"""How this copy of the core was installed, and how to install its plugins in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, frozen

from kickai_providers_core.values.base_value import Value

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CORE", "Installation", "advise_installing", "explain_missing"]

CORE = "kickai-providers-core"


def explain_missing(package: str) -> str:
    """Return what a trace says about a target whose plugin is not installed."""
    return f"install {package}"


def advise_installing(package: str) -> str:
    """Return what to do about a plugin that is not installed, as a clause.

    The command depends on where the core comes from, so messages name the one place that knows.
    """
    return f"install {package} (kickai providers --available shows how)"


@frozen(kw_only=True, eq=False, repr=False)
class Installation(Value):
    """Where the core was installed from.

    Attributes:
        version: The core's version; empty if it is not installed as a distribution.
        folder: The folder that it was installed from, for example a clone; None for another origin.
        url: The address of the repository or file that it was installed from; empty for a package index.
        commit: The commit of that repository; empty otherwise.
        project_urls: The addresses in its metadata, by label.
    """

    version: str = ""
    folder: Path | None = None
    url: str = ""
    commit: str = ""
    project_urls: dict[str, str] = Factory(dict)

    @classmethod
    def find(cls) -> Installation:
        """Return the installation that this process runs, as its metadata describes it (PEP 610)."""
        import json  # noqa: PLC0415  the import of all of these takes as long as that of the core
        from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415
        from pathlib import Path  # noqa: PLC0415
        from urllib.parse import urlsplit  # noqa: PLC0415
        from urllib.request import url2pathname  # noqa: PLC0415

        try:
            core = distribution(CORE)
        except PackageNotFoundError:
            return cls()
        urls = dict(url.split(", ", 1) for url in core.metadata.get_all("Project-URL") or ())
        origin = json.loads(core.read_text("direct_url.json") or "{}")
        url = origin.get("url", "")
        folder = Path(url2pathname(urlsplit(url).path)) if "dir_info" in origin else None
        commit = origin.get("vcs_info", {}).get("commit_id", "")
        return cls(version=core.version, folder=folder, url=url, commit=commit, project_urls=urls)

    @property
    def is_clone(self) -> bool:
        """Whether the core was installed from a folder that still contains the plugins."""
        return self.folder is not None and (self.folder / "plugins").is_dir()

    def describe_command(self, package: str) -> str:
        """Return the command that installs one of this project's plugins next to this core."""
        if self.is_clone:
            return f"pip install {self.folder}/plugins/{package}"
        if self.url:
            return f"pip install ./plugins/{package} in a clone of the project"
        return f"pip install {package}"
