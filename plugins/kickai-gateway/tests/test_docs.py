"""The documentation: its commands and programs work as they are shown."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import fields
from processes import run
from scripted import TEXT
from wire import CHAT, body

from kickai_gateway import http_routes, requests

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "gateway.md"
README = Path(__file__).parents[1] / "README.md"
ADDRESS = "http://127.0.0.1:8080"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="needs the documentation of the whole project")


def find_blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A running gateway."""
    with run(tmp_path_factory.mktemp("gateway")) as served:
        yield served


@pytest.mark.parametrize("page", [PAGE, README], ids=["guide", "readme"])
def test_the_command_of_the_page_answers(served, page):
    """The one for curl, in a shell."""
    command = find_blocks(page, "sh")[0].replace(ADDRESS, served.url)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == TEXT


def test_the_program_of_the_page_prints_answers(served):
    """With the client of OpenAI, whole and streamed."""
    source = find_blocks(PAGE, "python")[0].replace(ADDRESS, served.url)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == f"{TEXT}\n{TEXT}"


def test_the_application_can_be_created(tmp_path):
    """By another server, without any settings."""
    source = find_blocks(PAGE, "python")[1]
    done = subprocess.run(
        [sys.executable, "-c", f"{source}\nprint(type(app).__name__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout == "Gateway\n"


def test_the_command_for_feedback_works(served):
    """With the id of an answer."""
    with served.client() as client:
        id_ = client.post(CHAT, json=body()).json()["id"]
    command = find_blocks(PAGE, "sh")[1].replace(ADDRESS, served.url).replace('"ID"', f'"{id_}"')
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"object": "feedback", "id": id_, "ok": True, "name": "tone"}


def test_the_page_has_every_field_path_and_code():
    """The fields of a request, the paths, and the codes of errors in the source."""
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in requests.FIELDS if f"`{name}" not in page and f"{name}`" not in page] == []
    public = [path for path in http_routes.METHODS if not path.endswith((".json", ".css", ".js"))]
    assert [path for path in public if f"{path}`" not in page] == []
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(http_routes.__file__).parent.glob("*.py"))
    codes = set(re.findall(r'code="(\w+)"', sources))
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


def test_every_setting_is_documented():
    """In the page of the settings."""
    from kickai_providers_core.config.gateway_settings import GatewaySettings

    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert [each.name for each in fields(GatewaySettings) if f"| `{each.name}` |" not in page] == []
