"""The workflows run the sessions of nox, pin what they use, and have no more rights than they need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "src/kickai_providers_core/scaffold/template"
WORKFLOWS = sorted([*ROOT.glob(".github/workflows/*.yml"), *TEMPLATE.glob(".github/workflows/*.yml")])
PINNED = re.compile(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_action_is_pinned_to_a_commit(path):
    """A tag can be moved, a commit cannot; the comment says which version it is."""
    uses = [
        line.strip().removeprefix("- ") for line in path.read_text(encoding="utf-8").splitlines() if "uses:" in line
    ]
    assert uses
    assert [line for line in uses if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.relative_to(ROOT)))
def test_rights_are_minimal(path):
    """The contents can be read, one job may ask for a token of the publisher, and nothing can be written."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for name, job in workflow["jobs"].items():
        allowed = {"id-token": "write"} if name == "publish" else {"contents": "read"}
        assert job.get("permissions", allowed) == allowed
        assert job["timeout-minutes"] <= 60
        assert ("environment" in job) is (name == "publish")
    text = path.read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "pull_request_target" not in text


def test_only_the_build_is_published():
    """The job with the token runs no code of the repository: it downloads what the build checked."""
    publish = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))["jobs"]["publish"]
    assert publish["needs"] == "build"
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact", "pypa/gh-action-pypi-publish",
    ]  # fmt: skip


def test_every_session_that_a_workflow_runs_exists():
    """The names are those of noxfile.py."""
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    sessions = re.findall(r"^def (\w+)\(session", noxfile, re.MULTILINE)
    sessions += re.findall(r'^@nox\.session\(name="([\w-]+)"', noxfile, re.MULTILINE)
    ci = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    assert set(ci["jobs"]["session"]["strategy"]["matrix"]["session"]) <= set(sessions)
    assert "release" in sessions
