"""Replies and errors as JSON, in FastAPI, and in the hands of a logger that shows local variables."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest
from loguru import logger

from kickai_providers_core import ChainExhaustedError, KickaiError, ProviderUnavailableError, Reply, Resolver, Usage
from kickai_providers_core.values.jsonable import Jsonable

PROMPT = "my-very-private-prompt"
MODES = ["invoke", "ainvoke", "stream", "astream"]


def make_resolver(*script: str) -> Resolver:
    """Return a resolver whose first model follows a script."""
    models = {"a": {"script": list(script)}}
    return Resolver.from_settings({"providers": {"mock": {"reply": "pong", "retries": 0, "models": models}}}, env={})


def test_a_value_without_a_form_in_json_says_what_is_missing() -> None:
    """The error names the class and the method."""

    class Odd(Jsonable):
        """A value that does not say what it is in JSON."""

    with pytest.raises(TypeError, match=r"^Odd must define as_dict\(\) to be converted to JSON$"):
        dict(Odd())  # type: ignore[call-overload]


class Holder:
    """Holds the prompt, and hides it from reprs."""

    def __iter__(self) -> Any:
        return iter([PROMPT])


def ask(chain: Any, mode: str, resolver: Holder) -> None:
    """Send the prompt in one of the four modes; the line itself shows nothing of it."""
    if mode == "invoke":
        chain.invoke(*resolver)
    elif mode == "stream":
        list(chain.stream(*resolver))
    elif mode == "ainvoke":
        asyncio.run(chain.ainvoke(*resolver))
    else:

        async def read() -> None:
            async for _ in chain.astream(*resolver):
                pass

        asyncio.run(read())


def test_a_fastapi_handler_can_return_a_reply() -> None:
    """Before and after a fallback, with and without the annotation, the reply is JSON."""
    fastapi = pytest.importorskip("fastapi")
    testclient = pytest.importorskip("fastapi.testclient")
    app = fastapi.FastAPI()
    with make_resolver("ok", "timeout", "ok") as source:

        @app.get("/plain")
        def plain():
            return source.chain("mock:a", "mock:b").invoke("x")

        @app.get("/annotated")
        def annotated() -> Reply:
            return source.chain("mock:a", "mock:b").invoke("x")

        client = testclient.TestClient(app)
        answers = [client.get(path) for path in ("/plain", "/plain", "/annotated")]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert [answer.json()["fell_back"] for answer in answers] == [False, True, False]
        assert all(answer.json()["text"] == "pong" for answer in answers)
        assert client.get("/openapi.json").status_code == 200


@pytest.mark.parametrize("fault", ["authentication", "unavailable", "timeout", "invalid_request", "rate_limited"])
def test_an_error_is_json_without_prompt_or_answer(fault: str) -> None:
    """The record has the class, the message and the attempts, and neither prompt nor what a stream said."""
    with make_resolver(fault) as source, pytest.raises(KickaiError) as caught:
        source.chain("mock:a").invoke(PROMPT)
    caught.value.partial_text = "an answer"
    record = json.loads(json.dumps(caught.value.as_dict(), allow_nan=False))
    assert record["error"] == type(caught.value).__name__
    assert record["attempts"][0]["provider"] == "mock"
    assert PROMPT not in str(record)
    assert "an answer" not in str(record)
    if isinstance(caught.value, ChainExhaustedError):
        assert record["causes"][0]["error"] == type(caught.value.exceptions[0]).__name__


def test_an_infinite_delay_is_null() -> None:
    """JSON has no infinity, and NaN is not a delay."""
    assert ProviderUnavailableError("x", retry_after_s=float("inf")).as_dict()["retry_after_s"] is None
    assert ProviderUnavailableError("x", retry_after_s=float("nan")).retry_after_s is None
    assert dict(Usage(input_tokens=1, output_tokens=2))["total_tokens"] == 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", ["authentication", "unavailable", "timeout", "invalid_request", "content_filtered"])
def test_no_log_with_local_variables_shows_the_prompt(mode: str, fault: str) -> None:
    """Loguru's default shows the values in each line of a traceback: none of ours holds the prompt."""
    out = io.StringIO()
    sink = logger.add(out, diagnose=True, backtrace=True)
    try:
        with make_resolver(fault) as source:
            try:
                ask(source.chain("mock:a"), mode, Holder())
            except KickaiError:
                logger.exception("failed")
    finally:
        logger.remove(sink)
    assert "failed" in out.getvalue()
    assert PROMPT not in out.getvalue()
