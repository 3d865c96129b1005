"""The observer with a part of OpenTelemetry, with a part of a request, and with many requests at once."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest
from kickai_providers_core import KickaiError
from kickai_providers_core.values.events import ProviderCloseFailed
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider
from scene import PROMPT, Scene

from kickai_otel import OtelObserver

QUEUE_AND_FALL_BACK = {
    "breaker": {"max_errors": 1, "cooldown_s": 60},
    "hedging": {"after_s": 0.02, "floor": 100},
    "providers": {"actor": {"max_concurrency": 1}},
}


def work(resolver) -> None:
    """Make requests that are skipped, queue, hedge, fail and fall back."""
    for targets in (("actor:down", "gemini:ok"), ("actor:down", "gemini:ok"), ("gemini:hang", "actor:ok")):
        resolver.chain(*targets).invoke(PROMPT)
    holder = resolver.chain("actor:ok").stream(PROMPT)
    next(holder)
    with pytest.raises(KickaiError):
        resolver.chain("actor:ok", deadline_s=0.3).invoke(PROMPT)
    holder.close()


def test_metrics_are_the_same_without_spans(scene):
    """With a meter provider only, every metric is recorded."""
    alone = Scene()
    alone.observer = OtelObserver(tracer_provider=NoOpTracerProvider(), meter_provider=alone.meter_provider)
    for each in (scene, alone):
        with each.open(QUEUE_AND_FALL_BACK) as resolver:
            work(resolver)
    alone.close()
    counts = [{name: len(points) for name, points in each.collect().items()} for each in (scene, alone)]

    assert counts[0] == counts[1]
    assert {"kickai.queue.duration", "kickai.skips", "kickai.hedges", "kickai.fallbacks"} <= set(counts[0])
    assert scene.spans
    assert not alone.spans


def test_spans_are_the_same_without_metrics(scene):
    """With a tracer provider only, every span and event is recorded."""
    alone = Scene()
    alone.observer = OtelObserver(tracer_provider=alone.tracer_provider, meter_provider=NoOpMeterProvider())
    for each in (scene, alone):
        with each.open(QUEUE_AND_FALL_BACK) as resolver:
            work(resolver)
    alone.close()
    spans = [[(span.name, [event.name for event in span.events]) for span in each.spans] for each in (scene, alone)]

    assert spans[0] == spans[1]
    assert scene.collect()
    assert not alone.collect()


def test_a_request_that_was_not_seen_from_its_start_has_metrics_only(scene):
    """Its start is unknown, and so is the time that it had left; nothing is kept of it."""
    seen = []
    with scene.open(observer=seen.append) as resolver:
        resolver.chain("actor:down", "gemini:ok").invoke(PROMPT)
    scene.observer(ProviderCloseFailed(0, None, "actor", "RuntimeError"))
    for event in seen[1:]:
        scene.observer(event)
    found = scene.collect()

    assert scene.spans == []
    assert len(scene.observer._open) == 0
    assert found["kickai.request.duration"][0][1][0] == found["kickai.fallbacks"][0][1] == 1
    assert "kickai.deadline.left" not in found


def test_the_exemplars_of_metrics_are_the_spans_of_their_requests(scene):
    """So that a slow request can be found from the histogram."""
    with scene.open() as resolver:
        resolver.chain("actor:ok").invoke(PROMPT)
    metrics = scene.reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    by_name = {metric.name: metric.data.data_points[0] for metric in metrics}
    request = scene.find_spans("kickai.request")[0]

    for name in ("kickai.request.duration", "gen_ai.client.inference.duration"):
        assert [exemplar.span_id for exemplar in by_name[name].exemplars] == [request.context.span_id]


async def test_many_requests_at_once_lose_and_mix_nothing(scene):
    """Threads and tasks, answers and failures, streams that are dropped and calls that are cancelled."""
    threads, rounds = 6, 20
    ends: Counter[str] = Counter()

    def run_in_thread(chain, failing):
        for number in range(rounds):
            chain.invoke(PROMPT)
            stream = chain.stream(PROMPT)
            next(stream)
            stream.close() if number % 2 else list(stream)
            with pytest.raises(KickaiError):
                failing.invoke(PROMPT)

    async def run_in_task(chain, hanging):
        for _ in range(rounds):
            await chain.ainvoke(PROMPT)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(hanging.ainvoke(PROMPT), 0.01)

    with scene.open({"breaker": {"max_errors": 10**9}}) as resolver:
        chain, failing = resolver.chain("actor:busy", "gemini:ok"), resolver.chain("actor:down")
        hanging = resolver.chain("actor:hang")
        workers = [threading.Thread(target=run_in_thread, args=(chain, failing)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        await asyncio.gather(*(run_in_task(chain, hanging) for _ in range(threads)))
        for worker in workers:
            await asyncio.to_thread(worker.join)
    found = scene.collect()
    for attributes, (count, _) in found["kickai.request.duration"]:
        ends[attributes["kickai.outcome"]] += count
    requests = {span.context.span_id: span for span in scene.find_spans("kickai.request")}
    attempts = Counter(span.parent.span_id for span in scene.find_spans("chat"))

    half = threads * rounds // 2
    assert ends == {"success": 2 * half * 2 + half, "error": 2 * half, "cancelled": half + 2 * half}
    assert len(requests) == ends.total()
    assert len(scene.observer._open) == 0
    assert {id_: span.attributes["kickai.attempts"] for id_, span in requests.items()} == attempts
    assert sum(value for _, value in found["kickai.attempts"]) == attempts.total()
