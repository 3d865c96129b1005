"""The plugins of other kinds in the guide run as they are printed."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from kickai_providers_core import (
    ChainExhaustedError,
    ChatRequest,
    FinishReason,
    Image,
    Message,
    ProviderInfo,
    RateLimitedError,
    Reply,
    ReplyChunk,
    Resolver,
    Target,
    Usage,
)
from kickai_providers_core.authoring import hooks_for
from kickai_providers_core.plugin_api.mode_calls import MAX_AHEAD
from kickai_providers_core.testing.faults import FaultServer, Ok, Response, Status

HERE = Path(__file__).parent
GUIDE = (HERE.parents[1] / "docs" / "writing-a-provider.md").read_text(encoding="utf-8")
MODULE = re.compile(r'^```python title="(\w+)\.py"\n(.*?)^```$', re.DOTALL | re.MULTILINE)
MODULES = dict(MODULE.findall(GUIDE))


SHOWN = [
    (program, output)
    for program, output in re.findall(
        r"^```python\n((?:from|import) [^`]*)^```\n\n```text\n([^`]*)^```$", GUIDE, re.MULTILINE
    )
    if "kickai_oracle" not in program  # it calls a service, which the test of that provider starts
]
"""Programs without a title, and what they print."""


@pytest.fixture
def guide(tmp_path, monkeypatch):
    """Return a function that imports a module of the guide; ``vendorsdk`` is next to it."""
    for name, source in MODULES.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(HERE / "guide_sdk"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("program", "output"), SHOWN, ids=lambda text: text.partition("\n")[0])
def test_a_program_prints_what_the_guide_shows(guide, capsys, program, output):
    """It may import the modules of the guide."""
    exec(compile(program, "guide", "exec"), {"__name__": "__main__"})  # noqa: S102  the project's own page
    assert capsys.readouterr().out == output


class Counted:
    """A provider that counts its calls."""

    def __init__(self, settings):
        self.calls = 0

    def invoke(self, request, timeout_s):
        """Answer with the number of the call."""
        self.calls += 1
        usage = Usage(input_tokens=3, output_tokens=4)
        return Reply(text=f"answer {self.calls}", finish_reason=FinishReason.STOP, usage=usage, request_id="wire-1")

    async def ainvoke(self, request, timeout_s):
        """Answer with the number of the call."""
        return self.invoke(request, timeout_s)

    def stream(self, request, timeout_s):
        """Answer in two chunks."""
        reply = self.invoke(request, timeout_s)
        first, second = reply.text[:3], reply.text[3:]
        yield ReplyChunk(text=first, request_id=reply.request_id)
        yield ReplyChunk(text=second, finish_reason=reply.finish_reason, usage=reply.usage)

    async def astream(self, request, timeout_s):
        """Answer in two chunks."""
        for chunk in self.stream(request, timeout_s):
            yield chunk


def find_reply(chain, way, prompt):
    """Return the whole reply of a deterministic request."""
    if way == "invoke":
        return chain.invoke(prompt, temperature=0)
    stream = chain.stream(prompt, temperature=0)
    for _ in stream:
        pass
    return stream.reply


def ask(chain, way, prompt, **options):
    """Return the text of an answer in one of the four modes."""

    async def aask():
        if way == "ainvoke":
            return (await chain.ainvoke(prompt, **options)).text
        return "".join([chunk.text async for chunk in chain.astream(prompt, **options)])

    if way == "invoke":
        return chain.invoke(prompt, **options).text
    if way == "stream":
        return "".join(chunk.text for chunk in chain.stream(prompt, **options))
    return asyncio.run(aask())


COUNTED = hooks_for(ProviderInfo(name="counted", summary="Counts"), Counted)


class VendorWire:
    """How the service of the small SDK responds."""

    def reply(self, request, text, finish=FinishReason.STOP):
        """Return an answer."""
        return Response.json({"text": text, "reason": finish, "model": "vendor-2", "tokens_in": 11, "tokens_out": 5})

    def stream(self, request, pieces, finish=FinishReason.STOP):
        """Have no streams."""
        raise NotImplementedError

    def error(self, request, status, kind):
        """Return an error."""
        return Response.json({"message": kind}, status=status)

    def wants_stream(self, request):
        """Return whether a stream was requested: never."""
        return False


def test_the_provider_on_a_vendors_sdk_answers(guide, monkeypatch):
    """It sends its own key once, translates the SDK's errors, and names what the SDK cannot send."""
    plugin = guide("kickai_vendor").plugin
    with FaultServer(VendorWire()) as server:
        settings = {"providers": {"vendor": {"base_url": server.url, "retries": 0}}}
        environment = {"VENDOR_API_KEY": "canary"}
        monkeypatch.setenv("VENDOR_BASE_URL", "http://127.0.0.1:9")
        server.script(Ok("Everybody."), Status(429, headers={"retry-after": "7"}))
        with Resolver.from_settings(settings, env=environment, plugins={"vendor": plugin}) as resolver:
            reply = resolver.chain("vendor").invoke("Who can play?", seed=0)
            with pytest.raises(ChainExhaustedError) as caught:
                resolver.chain("vendor").invoke("Who can play?")
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer canary"] * 2
    assert (reply.text, reply.model, reply.omitted) == ("Everybody.", "vendor-2", ("seed",))
    (error,) = caught.value.exceptions
    assert (type(error), error.retry_after_s) == (RateLimitedError, 7)


def test_the_streaming_wire_speaks_json_lines(guide):
    """The server sends each piece as a line, and then the end."""
    with FaultServer(guide("heron_wire").HeronWire()) as server:
        for is_live, lines in ((False, 1), (True, 4)):
            server.script(Ok("a b c", pieces=("a", " b", " c")))
            with closing(HTTPConnection(server.url.removeprefix("http://"))) as line:
                line.request("POST", "/v2?x=1", json.dumps({"live": is_live}))
                found = [json.loads(each) for each in line.getresponse()]
            assert len(found) == lines
            assert "".join(each["output"] for each in found) == "a b c"
            assert found[-1]["why"] == "done"
        seen = server.requests[-1]
    assert (seen.method, seen.path, seen.json()) == ("POST", "/v2?x=1", {"live": True})
    assert "content-length" in seen.headers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "least"), [("test_program", 90), ("test_folder_store", 10), ("test_falcon", 700), ("test_cache", 3)]
)
def test_the_guides_tests_pass(guide, tmp_path, suite, least):
    """The providers pass the kit, the one without HTTP without a wire; the store passes the tests of stores."""
    guide("kickai_program")  # writes the files
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for name in [name for name in environment if name.startswith("PYTEST_XDIST")]:
        del environment[name]
    done = subprocess.run(
        [*command, "-k", "not processes and not share", str(tmp_path / f"{suite}.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > least


def test_the_program_is_called_by_a_chain(guide):
    """Its default program repeats the prompt in capital letters."""
    plugin = guide("kickai_program").plugin
    with Resolver.from_settings({}, env={}, plugins={"program": plugin}) as resolver:
        reply = resolver.chain("program").invoke("who can play?", temperature=0.5)
    assert (reply.text, reply.omitted) == ("WHO CAN PLAY?", ("temperature",))


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_two_asynchronous_methods_answer_in_all_modes(guide, way):
    """The core derives the sync modes."""
    plugin = guide("kickai_echo").plugin
    with Resolver.from_settings({}, env={}, plugins={"echo": plugin}) as resolver:
        assert ask(resolver.chain("echo"), way, "who can play?").strip() == "who can play?"


@pytest.mark.parametrize("methods", [("invoke", "stream"), ("ainvoke", "astream"), ("invoke",), ("ainvoke",)], ids=str)
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_the_cache_answers_without_the_provider(guide, way, methods):
    """The second answer to the same deterministic request comes from memory; others do not."""
    plugin = hooks_for(ProviderInfo(name="counted", summary="Counts"), Counted, methods=methods)
    plugins = {"counted": plugin, "cache": guide("kickai_cache").plugin}
    settings = {"providers": {"counted": {}, "other": {"kind": "counted"}}}
    with Resolver.from_settings(settings, env={}, plugins=plugins) as resolver:
        chain, other = resolver.chain("counted"), resolver.chain("other")
        texts = [ask(chain, way, "Who?", temperature=heat) for heat in (0, 0, 1, 1, 0)]
        texts += [ask(chain, way, "Where?", temperature=0), ask(other, way, "Who?", temperature=0)]
        assert texts == ["answer 1", "answer 1", "answer 2", "answer 3", "answer 1", "answer 4", "answer 1"]


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_the_reply_says_that_the_cache_answered(guide, way):
    """An answer from memory costs nothing, and has a request id of its own."""
    plugins = {"counted": COUNTED, "cache": guide("kickai_cache").plugin}
    with Resolver.from_settings({}, env={}, plugins=plugins) as resolver:
        replies = [find_reply(resolver.chain("counted"), way, "Who?") for _ in range(2)]
    assert [reply.answered_by for reply in replies] == ["", "cache"]
    assert [reply.usage.total_tokens for reply in replies] == [7, 0]
    assert len({reply.request_id for reply in replies}) == 2
    assert "from the extension cache" in replies[1].explain()


class Slow(Counted):
    """A provider whose answers come in more chunks than are read ahead."""

    async def astream(self, request, timeout_s):
        """Answer in many chunks."""
        for _ in range(10 * MAX_AHEAD):
            yield ReplyChunk(text=".")
        for chunk in self.stream(request, timeout_s):
            yield chunk


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_the_cache_does_not_keep_a_stream_that_was_closed_early(guide, way):
    """The next request is answered by the provider."""
    plugin = hooks_for(ProviderInfo(name="counted", summary="Counts"), Slow, methods=("ainvoke", "astream"))
    plugins = {"counted": plugin, "cache": guide("kickai_cache").plugin}
    with Resolver.from_settings({}, env={}, plugins=plugins) as resolver:
        chain = resolver.chain("counted")

        async def read_one():
            async with chain.astream("Who?", temperature=0) as stream:
                return await anext(stream)

        if way == "stream":
            with chain.stream("Who?", temperature=0) as stream:
                next(stream)
        else:
            asyncio.run(read_one())
        assert ask(chain, way, "Who?", temperature=0).endswith(".answer 1")
        assert ask(chain, way, "Who?", temperature=0).endswith(".answer 1")  # this one is from the cache


def test_the_cache_keeps_its_size(guide):
    """The oldest answer goes first."""
    plugins = {"counted": COUNTED, "cache": guide("kickai_cache").Cache(size=2)}
    with Resolver.from_settings({}, env={}, plugins=plugins) as resolver:
        chain = resolver.chain("counted")
        texts = [ask(chain, "invoke", prompt, temperature=0) for prompt in ("a", "b", "c", "c", "b", "a")]
    assert texts == ["answer 1", "answer 2", "answer 3", "answer 3", "answer 2", "answer 4"]


def test_the_observer_counts(guide):
    """Each attempt is counted once."""
    counting = guide("kickai_counter").plugin
    with Resolver.from_settings({}, env={}, plugins={"counted": COUNTED, "counter": counting}) as resolver:
        for _ in range(3):
            resolver.chain("counted").invoke("Who?")
    assert dict(counting.attempts) == {("counted", "success"): 3}


def test_the_ranker_puts_gemini_first_for_images(guide):
    """A prompt with an image goes to Gemini first; any other keeps its order."""
    ranker = guide("kickai_images_first")
    targets = (Target("huggingface"), Target("gemini"), Target("ollama"))
    image = Image(media_type="image/png", data=b"png")
    shown = ChatRequest(messages=(Message(role="user", content="Who?", images=(image,)),))
    ranked = ranker.kickai_rank_targets(shown, targets)
    assert [target.provider for target in ranked] == ["gemini", "huggingface", "ollama"]
    assert ranker.kickai_rank_targets(ChatRequest.from_prompt("Who?"), targets) is None
