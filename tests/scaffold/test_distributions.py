"""``kickai new-provider`` writes distributions that are complete: style, types, and the whole conformance kit."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command_line import installed

from kickai_providers_core.scaffold import write_project

ROOT = Path(__file__).parents[2]
CASES = [(kind, store) for kind in ("http", "sdk", "local") for store in (False, True)]
IDS = [f"{kind}-store" if store else kind for kind, store in CASES]


def run(*command, folder, **variables):
    """Run a command in a folder, and return its output; the test fails when the command does."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **variables},
        timeout=600,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return done.stdout


def write(folder, name, kind, *, store):
    """Write a distribution, and return its folder."""
    options = ["--store"] if store else []
    ended = installed("new-provider", name, "--kind", kind, *options, "--json", folder=folder)
    assert (ended.code, ended.err) == (0, "")
    written = folder / ended.json["path"]
    files = [path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(ended.json["files"])
    assert list(folder.iterdir()) == [written]
    return written


@pytest.mark.parametrize("name", ["x", "osprey-two", "a-name-of-exactly-32-characters1"])
@pytest.mark.parametrize(("kind", "store"), CASES, ids=IDS)
def test_the_code_passes_lint(tmp_path, kind, store, name):
    """With this project's settings and its own, whatever the length of the name is."""
    write_project(folder := tmp_path / "new", name=name, kind=kind, store=store)
    for settings in (ROOT / "pyproject.toml", folder / "pyproject.toml"):
        run("ruff", "check", "--no-cache", "--config", str(settings), folder=folder)
        run("ruff", "format", "--no-cache", "--check", "--config", str(settings), folder=folder)


@pytest.mark.parametrize(("kind", "store"), CASES, ids=IDS)
def test_the_code_passes_strict_types(tmp_path, kind, store):
    """With its own settings, which are as strict as this project's."""
    write_project(folder := tmp_path / "new", name="osprey-two", kind=kind, store=store)
    run("mypy", "--cache-dir", os.devnull, "src", "noxfile.py", folder=folder, MYPYPATH="src")
    strict = [
        tomllib.loads((each / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"] for each in (ROOT, folder)
    ]
    assert strict[0] == strict[1]


@pytest.mark.parametrize(("kind", "store"), CASES, ids=IDS)
def test_the_whole_kit_passes(tmp_path, kind, store):
    """The installed distribution is found, and its own tests pass, without a network."""
    folder = write(tmp_path, "osprey", kind, store=store)
    site = tmp_path / "site"
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    run("pip", "install", *options, "--target", str(site), str(folder), folder=folder)
    listed = installed("providers", "--json", folder=tmp_path, PYTHONPATH=str(site)).json["providers"]
    (found,) = [row for row in listed if row["name"] == "osprey"]
    assert found["state"] == ("ready" if kind == "local" else "not configured")
    assert found["missing"] == ([] if kind == "local" else ["OSPREY_API_KEY"])
    assert ("osprey-store" in [row["name"] for row in listed]) is store
    processes = str(os.cpu_count() or 1)  # several of these tests run at the same time
    output = run("pytest", "-q", "-n", processes, "-p", "no:cacheprovider", folder=folder, PYTHONPATH=str(site))
    assert int(output.split(" passed")[0].split()[-1]) > 50


def test_the_metadata_is_complete(tmp_path):
    """The distribution has a licence, a README, entry points, and a range of the core that contains this version."""
    folder = write(tmp_path, "osprey", "http", store=True)
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    major, minor, _ = map(int, version.split("."))
    assert f"kickai-providers-core>={major}.{minor},<{major}.{minor + 1}" in project["dependencies"]
    assert project["entry-points"] == {
        "kickai.providers": {"osprey": "kickai_osprey.plugin:plugin", "osprey-store": "kickai_osprey.store"}
    }
    for name in (project["readme"], *project["license-files"], "CHANGELOG.md", "noxfile.py", ".gitignore"):
        assert (folder / name).read_text(encoding="utf-8").strip()
    assert (folder / "LICENSE").read_text(encoding="utf-8") == (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_answer_for_people_says_what_to_do_next(tmp_path):
    """The output names the folder and the next commands."""
    ended = installed("new-provider", "osprey", folder=tmp_path)
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "wrote kickai-osprey with 17 files",
        "next:",
        "  cd kickai-osprey",
        "  python -m pip install -e . --group test",
        "  python -m pytest -n auto",
        "  kickai providers",
    ]
