"""Every provider plugin of the project over keep-alive connections, before and after a fork; and gunicorn's workers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from forks import begin_child
from integration.echo import serving

from kickai_providers_core import Resolver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core import Chain

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

WAYS = ("invoke", "ainvoke", "stream", "astream")
PLUGINS: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
    "hf": ("kickai_hf", lambda port: {"kind": "huggingface", "base_url": f"http://127.0.0.1:{port}/v1"}),
    "openai": ("kickai_openai", lambda port: {"kind": "openai", "base_url": f"http://127.0.0.1:{port}/v1"}),
    "ollama": ("kickai_ollama", lambda port: {"kind": "ollama", "host": f"127.0.0.1:{port}", "model": "m"}),
    "gemini": (
        "kickai_gemini",
        lambda port: {"kind": "gemini", "base_url": f"http://127.0.0.1:{port}", "api_key": "k" * 20},
    ),
}


def installed(plugin: str) -> Any:
    """Return the parameter for a plugin, skipped where it is not installed."""
    missing = find_spec(PLUGINS[plugin][0]) is None
    return pytest.param(plugin, marks=pytest.mark.skipif(missing, reason=f"kickai-{plugin} is not installed"))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Run the server for all tests of the module."""
    with serving() as port:
        yield port


def ask(chain: Chain, way: str, text: str) -> str:
    """Return the answer to a one-word question."""

    async def aask() -> str:
        if way == "ainvoke":
            return (await chain.ainvoke(text)).text
        return "".join([chunk.text async for chunk in chain.astream(text)])

    if way == "invoke":
        return chain.invoke(text).text
    if way == "stream":
        return "".join(chunk.text for chunk in chain.stream(text))
    return asyncio.run(aask())


@pytest.mark.parametrize(
    "hedged", [pytest.param(False, id="plain"), pytest.param(True, id="hedged", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("plugin", [*map(installed, PLUGINS)])
def test_each_process_gets_the_answers_to_its_own_questions(port: int, plugin: str, way: str, *, hedged: bool) -> None:
    """The parent sends requests in all modes before the fork, and continues while its children do the same."""
    settings = {"providers": {"srv": PLUGINS[plugin][1](port)}, **({"hedging": {"after_s": 20.0}} if hedged else {})}
    with Resolver.from_settings(settings, env={}) as resolver:
        chain = resolver.chain("srv", deadline_s=20)
        for before in WAYS:
            assert ask(chain, before, "warm-up") == "answer-to-warm-up"

        def asking(name: str) -> Callable[[], list[str]]:
            return lambda: [ask(chain, way, f"{name}{number}") for number in range(3)]

        children = [begin_child(asking(name)) for name in "AB"]
        assert asking("P")() == [f"answer-to-P{number}" for number in range(3)]
        for name, child in zip("AB", children, strict=True):
            assert child() == [f"answer-to-{name}{number}" for number in range(3)]


APPLICATION = """
import asyncio, os
from integration.echo import EchoPlugin
from kickai_providers_core import Resolver
chains, resolvers = {{}}, []
for name, (settings, target) in {cells!r}.items():
    resolvers.append(Resolver.from_settings(settings, env={{}}, plugins={{"echo": EchoPlugin({port})}}))
    chains[name] = resolvers[-1].chain(target, deadline_s=60)
    assert chains[name].invoke("warm-up").text == "answer-to-warm-up"


def app(environ, start_response):
    name, way, text = environ["PATH_INFO"].strip("/").split("/")
    chain = chains[name]
    if way == "invoke":
        answer = chain.invoke(text).text
    else:
        answer = asyncio.run(chain.ainvoke(text)).text
    body = f"{{os.getpid()}} {{answer}}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture(scope="module")
def gunicorn(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run gunicorn with an application that has a chain for each plugin, with hedging and without; give its address."""
    cells = {}
    for plugin in ("echo", *(name for name, (module, _) in PLUGINS.items() if find_spec(module))):
        providers = {} if plugin == "echo" else {"providers": {"srv": PLUGINS[plugin][1](port)}}
        target = "echo" if plugin == "echo" else "srv"
        cells[f"{plugin}-plain"] = (providers, target)
        cells[f"{plugin}-hedged"] = ({**providers, "hedging": {"after_s": 20.0}}, target)
    folder = tmp_path_factory.mktemp("gunicorn")
    (folder / "preloaded.py").write_text(APPLICATION.format(cells=cells, port=port), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "3", "--threads", "2", "--bind", address]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[1])])}
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen([*command, "preloaded:app"], stdout=output, stderr=output, env=environment)
    try:
        _wait_for(f"http://{address}/echo-plain/invoke/first", server, log)
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.mark.skipif(find_spec("gunicorn") is None, reason="gunicorn is not installed")
@pytest.mark.parametrize("hedged", ["plain", "hedged"])
@pytest.mark.parametrize("plugin", ["echo", *map(installed, PLUGINS)])
def test_gunicorn_workers_that_share_a_preloaded_resolver_answer_their_own_questions(
    gunicorn: str, plugin: str, hedged: str
) -> None:
    """With ``--preload`` and several workers, each answer belongs to its question, whichever worker gives it."""
    workers = asyncio.run(_ask_all(f"{gunicorn}/{plugin}-{hedged}"))
    assert len(workers) > 1


async def _ask_all(address: str) -> set[str]:
    """Ask many questions at once; hold each answer against its question, and return the workers that answered."""

    async def one(way: str, number: int) -> str:
        text = f"{way}-{number}"
        message = await asyncio.to_thread(_read, f"http://{address}/{way}/{quote(text)}")
        worker, answer = message.split()
        assert answer == f"answer-to-{text}"
        return worker

    return set(await asyncio.gather(*(one(("invoke", "ainvoke")[n % 2], n) for n in range(30))))


def _read(url: str) -> str:
    with urlopen(url, timeout=30) as answer:  # noqa: S310  the test's own server
        return answer.read().decode()  # type: ignore[no-any-return]


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 60
    while True:
        try:
            _read(url)
        except OSError:
            assert server.poll() is None and time.monotonic() < ends, log.read_text(encoding="utf-8")  # noqa: PT018
            time.sleep(0.1)
        else:
            return
