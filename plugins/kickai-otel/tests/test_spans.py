"""The spans of requests and attempts."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING

import pytest
from kickai_providers_core import ChainExhaustedError
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from scene import ANSWER, PROMPT, SERVICE_MESSAGE, Scene

from kickai_otel import OtelSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

MODES = ("invoke", "ainvoke", "stream", "astream")


async def call(chain, mode):
    """Call a chain in a mode, to the end."""
    if mode == "invoke":
        chain.invoke(PROMPT)
    elif mode == "ainvoke":
        await chain.ainvoke(PROMPT)
    elif mode == "stream":
        list(chain.stream(PROMPT))
    else:
        async for _ in chain.astream(PROMPT):
            pass


def assert_within(child: ReadableSpan, parent: ReadableSpan) -> None:
    """Fail unless a span is the child of another one and lies within it."""
    assert child.parent is not None
    assert child.parent.span_id == parent.context.span_id
    assert child.context.trace_id == parent.context.trace_id
    assert parent.start_time <= child.start_time <= child.end_time <= parent.end_time


@pytest.mark.parametrize("mode", MODES)
async def test_a_request_has_a_span_with_one_child_for_each_attempt(scene, mode):
    """The attempt that failed and the one that answered are children of the request's span, in their order."""
    with scene.open() as resolver:
        await call(resolver.chain("actor:down", "gemini:ok"), mode)
    down, ok, request = scene.spans

    assert [span.name for span in (down, ok, request)] == ["chat down", "chat ok", "kickai.request"]
    assert [span.kind for span in (down, ok, request)] == [SpanKind.CLIENT, SpanKind.CLIENT, SpanKind.INTERNAL]
    assert_within(down, request)
    assert_within(ok, request)
    assert down.end_time <= ok.start_time
    assert down.status.status_code is StatusCode.ERROR
    assert ok.status.status_code is request.status.status_code is StatusCode.UNSET


async def test_the_attributes_of_an_attempt_that_answered(scene):
    """They have the names of the conventions, and what was not observed is absent."""
    with scene.open() as resolver:
        list(resolver.chain("gemini:ok").stream(PROMPT))
    attributes = dict(scene.spans[0].attributes)
    first_chunk = attributes.pop("gen_ai.response.time_to_first_chunk")
    timeout_s = attributes.pop("kickai.attempt.timeout_s")

    assert 0 < first_chunk < 60
    assert 0 < timeout_s <= 30
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "ok",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "ok-2026",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 1,
        "kickai.instance": "gemini",
        "kickai.attempt.number": 1,
        "kickai.attempt.outcome": "success",
        "kickai.attempt.primary": True,
        "kickai.attempt.hedge": False,
        "kickai.attempt.probe": False,
    }


def test_what_a_provider_does_not_report_is_absent(scene):
    """Without usage there are no token counts, and zero cached tokens mean that none were reported."""
    with scene.open() as resolver:
        resolver.chain("actor:bare").invoke(PROMPT)
        resolver.chain("actor:plain").invoke(PROMPT)
    bare, plain = (dict(span.attributes) for span in scene.find_spans("chat"))

    assert not [name for name in bare if "usage" in name or "response.model" in name or "first_chunk" in name]
    assert {name: value for name, value in plain.items() if "usage" in name} == {
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 0,
    }


def test_the_attributes_of_an_attempt_that_failed(scene):
    """It has the class of the error and the status, and no message of the service."""
    with scene.open() as resolver, pytest.raises(ChainExhaustedError):
        resolver.chain("actor:down").invoke(PROMPT)
    attempt, request = scene.find_spans("chat")[-1], scene.spans[-1]

    assert attempt.attributes["error.type"] == "ProviderTimeoutError"
    assert attempt.attributes["http.response.status_code"] == 504
    assert attempt.attributes["kickai.attempt.outcome"] == "error"
    assert attempt.status.description is None
    assert request.attributes["error.type"] == "ChainExhaustedError"
    assert request.status.status_code is StatusCode.ERROR


def test_the_attributes_of_a_request_that_fell_back(scene):
    """They say which target should have answered and why it did not."""
    with scene.open({"roles": {"scout": {"chain": ["actor:down", "gemini:ok"]}}}) as resolver:
        resolver.for_role("scout").invoke(PROMPT)
    request = scene.spans[-1]
    attributes = dict(request.attributes)

    assert request.name == "kickai.request scout"
    assert attributes.pop("kickai.request") > 0
    assert 0 < attributes.pop("kickai.deadline_left_s") < attributes["kickai.deadline_s"]
    assert attributes == {
        "kickai.role": "scout",
        "kickai.targets": 2,
        "kickai.deadline_s": 30.0,
        "kickai.outcome": "success",
        "kickai.instance": "gemini",
        "kickai.model": "ok-2026",
        "kickai.attempts": len(scene.spans) - 1,
        "kickai.fell_back": True,
        "kickai.fallback.provider": "actor",
        "kickai.fallback.reason": "ProviderTimeoutError",
        "gen_ai.request.stream": False,
    }


def test_skips_and_breaker_changes_are_events_of_the_span(scene):
    """They lie within the span, under the names of the events' classes, with the instance and its provider name."""
    with scene.open({"breaker": {"max_errors": 1, "cooldown_s": 60}}) as resolver:
        chain = resolver.chain("actor:down", "gemini:ok")
        chain.invoke(PROMPT)
        chain.invoke(PROMPT)
    first, second = scene.find_spans("kickai.request")
    opened = next(event for event in first.events if event.name == "kickai.breaker_changed")
    skipped = next(event for event in second.events if event.name == "kickai.target_skipped")

    assert opened.attributes["kickai.breaker.after"] == "open"
    assert skipped.attributes["kickai.skip.reason"] in {"breaker_open", "suspended"}
    assert skipped.attributes["kickai.instance"] == skipped.attributes["gen_ai.provider.name"] == "actor"
    assert first.start_time <= opened.timestamp <= first.end_time
    assert second.start_time <= skipped.timestamp <= second.end_time


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_a_hedged_request_has_two_attempts_of_which_one_is_cancelled(scene, mode):
    """The slow attempt ends as cancelled, which is not an error, and the fast one is marked as a hedge."""
    with scene.open({"hedging": {"after_s": 0.02, "floor": 100}}) as resolver:
        chain = resolver.chain("actor:hang", "gemini:ok")
        reply = chain.invoke(PROMPT) if mode == "invoke" else await chain.ainvoke(PROMPT)
    (slow,), (fast,) = scene.find_spans("chat hang"), scene.find_spans("chat ok")
    request = scene.spans[-1]

    assert reply.provider == "gemini"
    assert slow.attributes["kickai.attempt.outcome"] == slow.attributes["error.type"] == "cancelled"
    assert slow.status.status_code is StatusCode.UNSET
    assert fast.attributes["kickai.attempt.hedge"] is True
    assert slow.start_time < fast.start_time <= slow.end_time
    assert request.attributes["kickai.fallback.reason"] == "slow"
    assert "kickai.hedged" in [event.name for event in request.events]
    assert_within(slow, request)
    assert_within(fast, request)


async def test_a_cancelled_request_ends_as_cancelled_without_an_error(scene):
    """Its span and that of its attempt end when the caller cancels it."""
    with scene.open() as resolver:
        task = asyncio.create_task(resolver.chain("actor:hang").ainvoke(PROMPT))
        await asyncio.sleep(0)  # the task runs until it waits for the provider
        await asyncio.sleep(0.05)
        assert len(scene.observer._open) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    attempt, request = scene.spans

    assert attempt.attributes["kickai.attempt.outcome"] == request.attributes["kickai.outcome"] == "cancelled"
    assert attempt.status.status_code is request.status.status_code is StatusCode.UNSET
    assert "error.type" not in request.attributes


def test_a_stream_that_is_closed_early_ends_as_cancelled(scene):
    """Its span covers the time until it was closed, and nothing stays open."""
    with scene.open() as resolver:
        stream = resolver.chain("actor:ok").stream(PROMPT)
        next(stream)
        stream.close()

    assert scene.spans[-1].attributes["kickai.outcome"] == "cancelled"
    assert len(scene.observer._open) == 0


def test_a_stream_that_is_never_read_has_no_span(scene):
    """It has sent nothing."""
    with scene.open() as resolver:
        resolver.chain("actor:ok").stream(PROMPT).close()

    assert scene.spans == []


@pytest.mark.parametrize("hedging", [{}, {"hedging": {"after_s": 5}}], ids=["plain", "hedging"])
@pytest.mark.parametrize("mode", MODES)
async def test_the_parent_is_the_span_that_is_current_where_the_request_starts(scene, mode, hedging):
    """In all modes, and also when the attempts run in another thread."""
    tracer = scene.tracer_provider.get_tracer("application")
    with scene.open(hedging) as resolver, tracer.start_as_current_span("work") as work:
        await call(resolver.chain("actor:ok", "gemini:ok"), mode)
    request = scene.find_spans("kickai.request")[0]

    assert request.parent == work.get_span_context()


async def test_concurrent_tasks_and_threads_keep_their_own_parents(scene):
    """Each request is below the span of its own task, or of the thread that copied its context."""
    tracer = scene.tracer_provider.get_tracer("application")
    with scene.open() as resolver:
        chain = resolver.chain("actor:pause")

        async def work(number):
            with tracer.start_as_current_span(f"task {number}"):
                await chain.ainvoke(PROMPT)

        def run(number):
            with tracer.start_as_current_span(f"thread {number}"):
                chain.invoke(PROMPT)

        def run_in_copy():
            with tracer.start_as_current_span("crew"):
                thread = threading.Thread(target=contextvars.copy_context().run, args=(chain.invoke, PROMPT))
                thread.start()
                thread.join()

        threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
        threads.append(threading.Thread(target=run_in_copy))
        for thread in threads:
            thread.start()
        await asyncio.gather(*(work(number) for number in range(4)))
        for thread in threads:
            await asyncio.to_thread(thread.join)
    by_id = {span.context.span_id: span for span in scene.spans}
    parents = [by_id[span.parent.span_id].name for span in scene.find_spans("kickai.request")]

    assert sorted(parents) == ["crew", *(f"task {n}" for n in range(4)), *(f"thread {n}" for n in range(4))]
    for attempt in scene.find_spans("chat"):
        assert_within(attempt, by_id[attempt.parent.span_id])


def test_two_resolvers_with_one_observer_do_not_mix_their_requests(scene):
    """Two streams of two resolvers that are read in turn have their own spans."""
    with scene.open() as one, scene.open() as two:
        streams = [one.chain("actor:one").stream(PROMPT), two.chain("gemini:two").stream(PROMPT)]
        for _ in range(20):
            for stream in streams:
                next(stream, None)
    attempts = {span.name: span for span in scene.find_spans("chat")}
    requests = {span.attributes["kickai.instance"]: span for span in scene.find_spans("kickai.request")}

    assert len(attempts) == len(requests) == 2
    assert_within(attempts["chat one"], requests["actor"])
    assert_within(attempts["chat two"], requests["gemini"])


def test_spans_and_metrics_hold_no_content(scene):
    """Neither the prompt, nor the answer, nor the message of a service is in anything that is exported."""
    with scene.open() as resolver:
        resolver.chain("actor:limited", "actor:down", "gemini:ok").invoke(PROMPT)
    exported = "".join(span.to_json() for span in scene.spans) + repr(scene.collect())

    for text in (PROMPT, ANSWER, SERVICE_MESSAGE):
        assert text not in exported


def test_requests_that_never_end_are_bounded_and_end_as_unfinished():
    """The oldest span is ended when there are more open requests than the limit."""
    scene = Scene(settings=OtelSettings(max_open_requests=3))
    with scene.open() as resolver:
        streams = [resolver.chain("actor:ok").stream(PROMPT) for _ in range(5)]
        for stream in streams:
            next(stream)
        assert len(scene.observer._open) == 3
        unfinished = scene.spans
        for stream in streams:
            list(stream)
    scene.close()
    outcomes = [span.attributes["kickai.outcome"] for span in scene.find_spans("kickai.request")]

    assert [span.attributes["kickai.outcome"] for span in unfinished] == ["unfinished"] * 2
    assert outcomes == ["unfinished"] * 2 + ["success"] * 3
    assert len(scene.find_spans("chat")) == 3
    assert sum(value[0] for _, value in scene.collect()["kickai.request.duration"]) == 5


def test_a_request_that_is_not_sampled_has_no_spans_and_all_metrics():
    """The sampler's decision about the request holds for its attempts."""
    scene = Scene(sampler=ALWAYS_OFF)
    with scene.open() as resolver:
        resolver.chain("actor:ok").invoke(PROMPT)
    scene.close()

    assert scene.spans == []
    assert scene.collect()["kickai.attempts"][0][1] == 1


def test_the_current_span_is_unchanged_by_a_request(scene):
    """The observer attaches nothing to the caller's context."""
    before = trace.get_current_span()
    with scene.open() as resolver:
        stream = resolver.chain("actor:ok").stream(PROMPT)
        next(stream)
        assert trace.get_current_span() is before
        list(stream)
    assert trace.get_current_span() is before
