"""A call down a chain: Hugging Face fails in each way of its own matrix, and Gemini answers.

The rows, and the service that they happen to, are those of kickai-hf's tests; where that plugin is not installed
there is nothing to fall back from.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from conftest import KEY, closed_port
from gemini_service import GeminiService
from kickai_providers_core import Policy, ProviderError, Resolver, Settings
from kickai_providers_core.plugin_api.discovery import discover
from kickai_providers_core.testing.faults import FaultServer, Ok, Unreachable, blackhole

from kickai_gemini.plugin import plugin
from kickai_gemini.settings import GeminiSettings

hf = pytest.importorskip("kickai_hf.plugin").plugin
hf_settings = pytest.importorskip("kickai_hf.settings")

FOLDER = Path(__file__).parents[2] / "kickai-hf" / "tests"
WHOLE = ("invoke", "ainvoke")
"""The ways of calling that ``timeout_s`` bounds: a chain bounds a stream by its other times."""

TIME_OF = {
    "total": "timeout_s",
    "connect": "connect_timeout_s",
    "first_token": "first_token_timeout_s",
    "idle": "idle_timeout_s",
}
"""The setting of each timeout of a row."""

BOUND_S = 0.4
"""The timeout that expires in a row."""

PLENTY_S = 10.0


def borrowed(name):
    """Load a module of kickai-hf's tests under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"borrowed_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


WIRE = sys.modules["hf_wire"] = borrowed("hf_wire")  # fault_matrix imports it by its own name
FAULTS = borrowed("fault_matrix")


class Crossing:
    """A chain from Hugging Face to Gemini, in front of a server each."""

    def __init__(self, row, stack):
        self.row = row
        self.first = stack.enter_context(FaultServer(WIRE.HfWire()))
        self.second = stack.enter_context(FaultServer(GeminiService(), Ok("Gemini's")))
        url = self.first.url
        if row.fault is Unreachable.REFUSED:
            url = f"http://127.0.0.1:{stack.enter_context(closed_port())}"
        if row.fault is Unreachable.HANGS:
            url = f"http://127.0.0.1:{stack.enter_context(blackhole())}"
        times = dict.fromkeys(TIME_OF.values(), PLENTY_S) | ({TIME_OF[row.expires]: BOUND_S} if row.expires else {})
        options = {"base_url": url, "model": WIRE.MODEL, "retries": 0, "context_window": 4096, **times}
        providers = {
            "huggingface": hf_settings.HuggingFaceSettings(**options),
            "gemini": GeminiSettings(base_url=self.second.url, api_key=KEY),
        }
        found = discover((), given={"huggingface": hf, "gemini": plugin})
        self.resolver = Resolver(Settings(providers=providers), found)
        self.chain = self.resolver.chain("huggingface", "gemini")

    def call(self, mode):
        """Call in one of the four ways; return the reply."""
        if mode in {"ainvoke", "astream"}:
            return asyncio.run(self._acall(mode))
        with self.resolver:
            self._script()
            if mode == "invoke":
                return self.chain.invoke("ping")
            with closing(self.chain.stream("ping", mode="buffered")) as stream:
                assert "".join(chunk.text for chunk in stream) == stream.reply.text
                return stream.reply

    async def _acall(self, mode):
        async with self.resolver:
            self._script()
            if mode == "ainvoke":
                return await self.chain.ainvoke("ping")
            stream = self.chain.astream("ping", mode="buffered")
            assert "".join([chunk.text async for chunk in stream]) == stream.reply.text
            return stream.reply

    def _script(self):
        if not isinstance(self.row.fault, Unreachable):
            self.first.script(self.row.fault)


def crossed(row, mode):
    """Return what became of a call, and how many requests came to Gemini."""
    with ExitStack() as stack:
        crossing = Crossing(row, stack)
        try:
            return crossing.call(mode), len(crossing.second.requests)
        except ProviderError as error:
            return error, len(crossing.second.requests)


@pytest.mark.parametrize("row", [row for rows in FAULTS.SECTIONS.values() for row in rows], ids=lambda row: row.name)
def test_gemini_answers_when_hugging_face_fails(row):
    """Gemini answers, with both attempts on the reply; but what anybody would refuse is not asked twice."""
    modes = [mode for mode in row.modes if row.expires != "total" or mode in WHOLE]
    with ThreadPoolExecutor(len(row.modes)) as pool:
        outcomes = list(pool.map(lambda mode: crossed(row, mode), modes))
    for mode, (ended, asked) in zip(modes, outcomes, strict=True):
        if Policy().rule_for(row.error("")).fall_back == "never":
            assert (type(ended), asked) == (row.error, 0), mode
            continue
        assert not isinstance(ended, Exception), (mode, ended)
        assert (ended.text, ended.provider, ended.fell_back, asked) == ("Gemini's", "gemini", True, 1), mode
        assert [type(attempt.error) for attempt in ended.attempts] == [row.error, type(None)], mode
        assert [attempt.provider for attempt in ended.attempts] == ["huggingface", "gemini"], mode
