"""The checks before a release find each kind of fault, in real archives."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from release.__main__ import check_versions, describe_next_steps
from release.archives import find_sdist_problems, find_wheel_problems
from release.distributions import Distribution, find_distributions
from release.licences import find_licence_problems

ROOT = Path(__file__).parents[2]
PROJECT = {
    "name": "kickai-osprey",
    "version": "0.2.0",
    "entry-points": {"kickai.providers": {"osprey": "kickai_osprey"}},
}
METADATA = """\
Metadata-Version: 2.4
Name: kickai-osprey
Version: 0.2.0
Summary: Ospreys
Author: Ann
License-Expression: Apache-2.0
License-File: LICENSE
Keywords: birds
Classifier: Typing :: Typed
Requires-Python: >=3.11
Requires-Dist: kickai-providers-core<0.2,>=0.1
Description-Content-Type: text/markdown

# kickai-osprey
"""
INFO = "kickai_osprey-0.2.0.dist-info"
FILES = {
    "kickai_osprey/__init__.py": "",
    "kickai_osprey/py.typed": "",
    "kickai_osprey/table.toml": "",
    f"{INFO}/METADATA": METADATA,
    f"{INFO}/entry_points.txt": "[kickai.providers]\nosprey = kickai_osprey\n",
    f"{INFO}/licenses/LICENSE": "free",
    f"{INFO}/RECORD": "",
}
DATED = "# Changelog\n\n## 0.2.0 - 2026-11-27\n\n- New.\n\n## 0.1.0 - 2026-10-01\n"


@pytest.fixture
def osprey(tmp_path):
    """Return a distribution with a package and a data file."""
    for name in ("__init__.py", "py.typed", "table.toml"):
        path = tmp_path / "osprey/src/kickai_osprey" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Distribution(folder=tmp_path / "osprey", project=PROJECT, changelog=DATED)


def find_problems(folder, osprey, files, core_version="0.1.5"):
    """Return the problems of a wheel with these files."""
    wheel = folder / "kickai_osprey-0.2.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return [problem.removeprefix(f"{wheel.name}: ") for problem in find_wheel_problems(wheel, osprey, core_version)]


def test_a_good_wheel_has_no_problems(tmp_path, osprey):
    """Its files are those of the source folder."""
    assert find_problems(tmp_path, osprey, FILES) == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("kickai_osprey/table.toml", "kickai_osprey/table.toml is missing"),
        ("kickai_osprey/py.typed", "kickai_osprey/py.typed is missing"),
        (f"{INFO}/licenses/LICENSE", f"{INFO}/licenses/LICENSE is missing"),
        (f"{INFO}/entry_points.txt", "its entry points are not those of pyproject.toml"),
        (f"{INFO}/METADATA", "Name is None, not 'kickai-osprey'"),
    ],
)
def test_a_missing_file_is_a_problem(tmp_path, osprey, name, problem):
    """Code, data, types, licence, entry points and metadata all belong to a wheel."""
    assert problem in find_problems(tmp_path, osprey, {each: FILES[each] for each in FILES if each != name})


@pytest.mark.parametrize("name", ["tests/test_osprey.py", "kickai_osprey/__pycache__/x.pyc", "kickai_osprey/.env"])
def test_a_surplus_file_is_a_problem(tmp_path, osprey, name):
    """Tests, caches and private files do not belong to a wheel."""
    assert find_problems(tmp_path, osprey, FILES | {name: ""}) == [f"{name} does not belong there"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Version: 0.2.0", "Version: 0.2.1", "Version is '0.2.1', not '0.2.0'"),
        ("License-Expression: Apache-2.0\n", "", "License-Expression is missing"),
        ("Classifier: Typing :: Typed\n", "", "the classifier 'Typing :: Typed' is missing"),
        ("# kickai-osprey\n", "", "the README is missing"),
        ("<0.2,>=0.1", "<0.1", "it requires kickai-providers-core<0.1, which excludes the core's version 0.1.5"),
        (
            "kickai-providers-core<0.2,>=0.1",
            "httpx @ https://example.com/httpx.whl",
            "it requires an address, which PyPI refuses: httpx @ https://example.com/httpx.whl",
        ),
    ],
)
def test_wrong_metadata_are_a_problem(tmp_path, osprey, old, new, problem):
    """The problem names the field and the values."""
    changed = FILES | {f"{INFO}/METADATA": METADATA.replace(old, new)}
    assert find_problems(tmp_path, osprey, changed) == [problem]


def test_a_source_distribution_without_its_sources_is_a_problem(tmp_path, osprey):
    """Each missing file is named."""
    sdist = tmp_path / "kickai_osprey-0.2.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        for name in ("PKG-INFO", "pyproject.toml", "README.md", "LICENSE", "src/kickai_osprey/__init__.py", ".env"):
            archive.addfile(tarfile.TarInfo(f"kickai_osprey-0.2.0/{name}"), io.BytesIO())
    assert {problem.partition(": ")[2] for problem in find_sdist_problems(sdist, osprey)} == {
        "CHANGELOG.md is missing",
        "src/kickai_osprey/py.typed is missing",
        "src/kickai_osprey/table.toml is missing",
        ".env does not belong there",
    }


@pytest.mark.parametrize(
    ("changelog", "problems", "is_dated"),
    [
        (DATED, [], True),
        ("## [0.2.0] - unreleased\n", [], False),
        ("## Unreleased\n\n## 0.1.0 - 2026-10-01\n", [], False),
        ("", ["kickai-osprey: CHANGELOG.md has no heading such as '## 0.2.0 - unreleased'"], False),
        (
            "## 0.1.0 - 2026-10-01\n",
            ["kickai-osprey: the version is 0.2.0, but the first heading of CHANGELOG.md is 0.1.0"],
            False,
        ),
        (
            f"## Unreleased\n\n{DATED}",
            ["kickai-osprey: 0.2.0 is released and there are unreleased changes; raise the version"],
            False,
        ),
        (f"## 0.2.0 - unreleased\n\n{DATED}", ["kickai-osprey: CHANGELOG.md has 0.2.0 twice"], False),
    ],
)
def test_the_changelog_has_to_agree_with_the_version(osprey, changelog, problems, is_dated):
    """The first heading is that of the version, with a date once it is released."""
    each = Distribution(folder=osprey.folder, project=PROJECT, changelog=changelog)
    assert list(each.find_changelog_problems()) == problems
    assert each.is_dated is is_dated


def test_a_final_release_needs_dates_and_the_tag_of_the_core(osprey):
    """Before that, both are left open."""
    undated = Distribution(folder=osprey.folder, project=PROJECT, changelog="## 0.2.0 - unreleased\n")
    assert list(check_versions([undated], "", is_final=False)) == []
    assert list(check_versions([undated], "v0.3.0", is_final=True)) == [
        "kickai-osprey: CHANGELOG.md has no date for 0.2.0",
        "the tag is v0.3.0, but the version of kickai-providers-core is 0.2.0",
    ]


def describe(*licences):
    """Return the problems of a document with one component."""
    document = {"components": [{"name": "x", "version": "1", "licenses": list(licences)}]}
    return list(find_licence_problems(document, "w"))


@pytest.mark.parametrize(
    "licence",
    [
        {"license": {"id": "MIT"}},
        {"expression": "Apache-2.0 OR GPL-3.0-only"},
        {"expression": "MPL-2.0 AND MIT"},
        {"license": {"name": "License :: OSI Approved :: BSD License"}},
    ],
)
def test_a_free_licence_is_accepted(licence):
    """As an id, an expression or a name."""
    assert describe(licence) == []


@pytest.mark.parametrize(
    ("licences", "problem"),
    [
        ((), "w: x 1 states no licence"),
        (({"license": {"name": "UNKNOWN"}},), "w: x 1 states no licence"),
        (({"license": {"id": "AGPL-3.0-only"}},), "w: x 1 has the licence AGPL-3.0-only"),
        (({"expression": "MIT AND LicenseRef-Proprietary"},), "w: x 1 has the licence MIT AND LicenseRef-Proprietary"),
    ],
)
def test_another_licence_is_a_problem(licences, problem):
    """The component and its statement are named."""
    assert describe(*licences) == [problem]


def test_the_changelogs_of_this_repository_agree_with_the_versions():
    """Every distribution is found, and can become a release."""
    distributions = find_distributions(ROOT)
    assert distributions[0].name == "kickai-providers-core"
    assert {each.folder.name for each in distributions[1:]} == {
        path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")
    }
    assert [problem for each in distributions for problem in each.find_changelog_problems()] == []
    assert len({each.version for each in distributions}) == 1


def test_the_next_steps_name_the_tag_and_the_open_changelogs(osprey):
    """With problems, the only step is to fix them."""
    undated = Distribution(folder=osprey.folder, project=PROJECT, changelog="## 0.2.0 - unreleased\n")
    text = "\n".join(describe_next_steps([undated], []))
    assert "the changelogs of kickai-osprey" in text
    assert "git push origin v0.2.0" in text
    assert list(describe_next_steps([undated], ["x"])) == ["1 problems: fix them, and run nox -s release again"]
