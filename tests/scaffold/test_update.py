"""``copier update`` brings the changes of a later template into a distribution that was changed meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kickai_providers_core.scaffold.project import Source, find_source, write_project

ROOT = Path(__file__).parents[2]
SCAFFOLD = Path("src/kickai_providers_core/scaffold")
PERSON = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.com"))
}


def run(*command, folder):
    """Run a command in a folder, and return its output."""
    environment = {**os.environ, **PERSON, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def commit(folder, tag=None):
    """Commit everything in a folder, and tag it."""
    run("git", "add", "--all", folder=folder)
    run("git", "commit", "--quiet", "--message", tag or "changes", folder=folder)
    if tag:
        run("git", "tag", tag, folder=folder)


@pytest.fixture
def template(tmp_path):
    """Return a repository with the template, tagged v0.1.0, as a clone of this project has it."""
    folder = tmp_path / "template"
    shutil.copytree(ROOT / SCAFFOLD, folder / SCAFFOLD, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "copier.yml", folder)
    run("git", "init", "--quiet", "--initial-branch=main", folder=folder)
    commit(folder, "v0.1.0")
    return folder


@pytest.fixture
def project(tmp_path, template):
    """Return a distribution that was written with v0.1.0, and changed by its author."""
    folder = tmp_path / "kickai-osprey"
    write_project(folder, name="osprey", kind="sdk", store=True, source=Source(str(template), "v0.1.0"))
    run("git", "init", "--quiet", "--initial-branch=main", folder=folder)
    commit(folder)
    change(folder / "src/kickai_osprey/provider.py", 'DEFAULT_MODEL = "osprey-1"', 'DEFAULT_MODEL = "osprey-9"')
    change(folder / "README.md", "## Install", "Osprey is a bird.\n\n## Install")
    commit(folder)
    return folder


def change(path, old, new):
    """Replace a text that occurs once in a file."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, path
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_an_update_keeps_what_the_author_changed(template, project):
    """Changed, new and conditional files arrive; nothing of the author is lost, and no conflict is left."""
    files = template / SCAFFOLD / "template"
    change(
        files / "src/{{ package }}/{% if kind != 'local' %}provider.py{% endif %}.jinja", "one reply out.", "a reply."
    )
    change(files / "noxfile.py.jinja", '"3.12", "3.13"', '"3.12", "3.13", "3.14"')
    (files / "SECURITY.md.jinja").write_text("# Security of kickai-{{ name }}\n", encoding="utf-8")
    (files / "{% if kind == 'http' %}http.md{% endif %}.jinja").write_text("http\n", encoding="utf-8")
    commit(template, "v0.2.0")

    run(sys.executable, "-m", "copier", "update", "--defaults", "--quiet", folder=project)

    provider = (project / "src/kickai_osprey/provider.py").read_text(encoding="utf-8")
    assert "one request in, a reply." in provider
    assert 'DEFAULT_MODEL = "osprey-9"' in provider
    assert "Osprey is a bird." in (project / "README.md").read_text(encoding="utf-8")
    assert '"3.14"' in (project / "noxfile.py").read_text(encoding="utf-8")
    assert (project / "SECURITY.md").read_text(encoding="utf-8") == "# Security of kickai-osprey\n"
    assert not (project / "http.md").exists()
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert answers == {
        "_commit": "v0.2.0", "_src_path": str(template), "kind": "sdk", "name": "osprey", "store": True
    }  # fmt: skip
    assert "<<<<<<<" not in run("git", "diff", folder=project)
    assert not list(project.rglob("*.rej"))


def test_an_update_without_changes_of_the_template_changes_nothing(project):
    """What `write_project` writes is what copier writes for the same version."""
    run(sys.executable, "-m", "copier", "update", "--defaults", "--quiet", folder=project)
    assert run("git", "diff", "--ignore-all-space", "--", ":!.copier-answers.yml", folder=project) == ""


def test_a_clone_is_found_as_the_source_of_its_own_installation():
    """The source is the clone that the core was installed from, or unknown for a wheel."""
    source = find_source()
    assert source == Source() or (Path(source.address) / "copier.yml").is_file()


def test_without_a_source_the_answers_say_what_to_fill_in(tmp_path):
    """The file names the two keys that an update needs."""
    write_project(tmp_path / "new", name="osprey", kind="local", store=False, source=Source())
    text = (tmp_path / "new" / ".copier-answers.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == {"kind": "local", "name": "osprey", "store": False}
    assert "set _src_path to the address" in text
