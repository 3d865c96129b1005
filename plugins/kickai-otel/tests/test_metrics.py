"""The metrics."""

from __future__ import annotations

import threading
import time

import pytest
from kickai_providers_core import ChainExhaustedError, KickaiError
from kickai_providers_core.values.events import Event, ProviderCloseFailed
from scene import PROMPT, Scene

from kickai_otel import MetricNames, OtelSettings, conventions, metric_table
from kickai_otel.cardinality import MAX_LENGTH, BoundedValues

USED = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "gcp.gemini",
    "gen_ai.request.model": "ok",
    "gen_ai.response.model": "ok-2026",
}


def test_the_metrics_of_an_answer(scene):
    """Durations, tokens and counts, each with its own attributes."""
    with scene.open({"roles": {"scout": {"chain": ["gemini:ok"]}}}) as resolver:
        list(resolver.for_role("scout").stream(PROMPT))
    found = scene.collect()
    by_modality = {**USED, "gen_ai.token.modality": "unknown"}

    assert found["gen_ai.client.inference.usage.input_tokens"] == [(by_modality, 7)]
    assert found["gen_ai.client.inference.usage.output_tokens"] == [(by_modality, 3)]
    assert found["gen_ai.client.inference.usage.cache_read.input_tokens"] == [(by_modality, 2)]
    assert found["gen_ai.client.inference.usage.reasoning.output_tokens"] == [(by_modality, 1)]
    for name in ("duration", "time_to_first_chunk"):
        ((attributes, (count, total)),) = found[f"gen_ai.client.inference.{name}"]
        assert attributes == USED
        assert count == 1
        assert 0 < total < 60
    ((attributes, (count, total)),) = found["kickai.request.duration"]
    assert (count, 0 < total < 60) == (1, True)
    assert attributes == {
        "kickai.role": "scout",
        "kickai.outcome": "success",
        "kickai.instance": "gemini",
        "kickai.fell_back": False,
        "gen_ai.request.stream": True,
    }
    ((attributes, (_, left_s)),) = found["kickai.deadline.left"]
    assert attributes == {"kickai.role": "scout", "kickai.outcome": "success"}
    assert 0 < left_s < 30


def test_the_metrics_of_a_fallback(scene):
    """The failed attempt has the class of its error and no tokens, and the fallback its reason."""
    with scene.open({"providers": {"actor": {"retries": 0}}}) as resolver:
        resolver.chain("actor:down", "gemini:bare").invoke(PROMPT)
    found = scene.collect()

    assert not [name for name in found if "usage" in name or "first_chunk" in name]
    assert found["kickai.fallbacks"] == [
        (
            {
                "kickai.fallback.provider": "actor",
                "kickai.fallback.reason": "ProviderTimeoutError",
                "kickai.instance": "gemini",
            },
            1,
        )
    ]
    assert {attributes.get("error.type") for attributes, _ in found["kickai.attempts"]} == {
        None,
        "ProviderTimeoutError",
    }
    assert {attributes["gen_ai.provider.name"] for attributes, _ in found["gen_ai.client.inference.duration"]} == {
        "actor",
        "gcp.gemini",
    }


def test_skips_breakers_and_retries_are_counted(scene):
    """Each event adds to its own counter."""
    with scene.open({"breaker": {"max_errors": 1, "cooldown_s": 60}}) as resolver:
        chain = resolver.chain("actor:down", "gemini:ok")
        chain.invoke(PROMPT)
        chain.invoke(PROMPT)
    found = scene.collect()

    ((skipped, skips),) = found["kickai.skips"]
    assert (skipped["kickai.instance"], skipped["gen_ai.request.model"], skips) == ("actor", "down", 1)
    assert {attributes["kickai.breaker.after"] for attributes, _ in found["kickai.breaker.changes"]} == {"open"}


def test_waits_before_a_retry_are_measured(scene):
    """A retried attempt is one more attempt, and the wait before it is in its own histogram."""
    settings = {"providers": {"actor": {"retries": 1}}, "breaker": {"max_errors": 100}}
    with scene.open(settings) as resolver, pytest.raises(ChainExhaustedError):
        resolver.chain("actor:busy").invoke(PROMPT)
    found = scene.collect()

    assert sum(value for _, value in found["kickai.attempts"]) == 2
    assert [value[0] for _, value in found["kickai.backoff.duration"]] == [1]


ONE_AT_A_TIME = {"providers": {"actor": {"max_concurrency": 1}}}


def test_the_time_in_a_queue_is_measured(scene):
    """A request that waits for a slot has been admitted when its attempt starts."""
    with scene.open(ONE_AT_A_TIME) as resolver:
        chain = resolver.chain("actor:ok")
        holder = chain.stream(PROMPT)
        next(holder)
        waiting = threading.Thread(target=chain.invoke, args=(PROMPT,))
        waiting.start()
        while not any(request.queued for request in tuple(scene.observer._open._open.values())):
            time.sleep(0.005)
        list(holder)
        waiting.join()
    ((attributes, (count, waited_s)),) = scene.collect()["kickai.queue.duration"]

    assert attributes == {
        "kickai.instance": "actor",
        "gen_ai.request.model": "ok",
        "kickai.queue.outcome": "admitted",
    }
    assert count == 1
    assert 0 < waited_s < 30
    assert "kickai.queued" in [event.name for span in scene.spans for event in span.events]


def test_a_request_that_leaves_a_queue_is_counted_as_such(scene):
    """When it has waited for half of its time, another target answers."""
    with scene.open(ONE_AT_A_TIME) as resolver:
        holder = resolver.chain("actor:ok").stream(PROMPT)
        next(holder)
        reply = resolver.chain("actor:ok", "gemini:ok", deadline_s=2).invoke(PROMPT)
        holder.close()
    ((attributes, (count, waited_s)),) = scene.collect()["kickai.queue.duration"]

    assert reply.provider == "gemini"
    assert (attributes["kickai.queue.outcome"], count) == ("left", 1)
    assert 0 < waited_s < 2


def test_a_request_that_fails_in_a_queue_is_counted_as_such(scene):
    """The wait ends with the request."""
    with scene.open(ONE_AT_A_TIME) as resolver:
        holder = resolver.chain("actor:ok").stream(PROMPT)
        next(holder)
        with pytest.raises(KickaiError):
            resolver.chain("actor:ok", deadline_s=0.5).invoke(PROMPT)
        holder.close()
    ((attributes, (count, _)),) = scene.collect()["kickai.queue.duration"]

    assert (attributes["kickai.queue.outcome"], count) == ("left", 1)


def test_a_hedge_is_counted(scene):
    """At the slow target, and the cancelled attempt does not look like an answer."""
    with scene.open({"hedging": {"after_s": 0.02, "floor": 100}}) as resolver:
        resolver.chain("actor:hang", "gemini:ok").invoke(PROMPT)
    found = scene.collect()

    assert found["kickai.hedges"] == [({"kickai.instance": "actor", "gen_ai.request.model": "hang"}, 1)]
    errors = {a["gen_ai.request.model"]: a.get("error.type") for a, _ in found["gen_ai.client.inference.duration"]}
    assert errors == {"hang": "cancelled", "ok": None}


@pytest.mark.parametrize("chosen", list(MetricNames))
def test_the_previous_names_are_emitted_when_they_are_asked_for(chosen):
    """The current names, the previous ones, or both; ours stay the same."""
    scene = Scene(settings=OtelSettings(metric_names=chosen))
    with scene.open() as resolver:
        list(resolver.chain("gemini:ok").stream(PROMPT))
    scene.close()
    found = scene.collect()
    gen_ai = {name for name in found if name.startswith("gen_ai.")}
    current = {
        "gen_ai.client.inference.duration",
        "gen_ai.client.inference.time_to_first_chunk",
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.inference.usage.output_tokens",
        "gen_ai.client.inference.usage.cache_read.input_tokens",
        "gen_ai.client.inference.usage.reasoning.output_tokens",
    }
    previous = {
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.token.usage",
    }

    assert gen_ai == {"current": current, "previous": previous, "both": current | previous}[chosen]
    assert "kickai.request.duration" in found
    if chosen.has_previous:
        assert sorted((a["gen_ai.token.type"], value) for a, value in found["gen_ai.client.token.usage"]) == [
            ("input", (1, 7)),
            ("output", (1, 3)),
        ]


def test_distinct_models_are_bounded():
    """Further models become ``other``, and no call is lost."""
    scene = Scene(settings=OtelSettings(max_values=10))
    with scene.open() as resolver:
        for number in range(25):
            resolver.chain(f"actor:model-{number}").invoke(PROMPT)
    scene.close()
    points = scene.collect()["kickai.attempts"]
    models = {attributes["gen_ai.request.model"]: value for attributes, value in points}

    assert len(models) == 11
    assert models["other"] == 15
    assert sum(value for _, value in points) == 25


def test_the_bound_holds_for_concurrent_threads():
    """Many threads with new values of their own never exceed it."""
    values, seen = BoundedValues(50), set()
    start = threading.Barrier(8)

    def run(thread):
        start.wait()
        seen.update(values.bound("model", f"{thread}-{number}") for number in range(200))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert conventions.OTHER in seen
    assert 2 <= len(seen) <= 51


def test_a_value_is_cut_and_each_attribute_has_its_own_bound():
    """A service cannot make a series of any length."""
    values = BoundedValues(1)

    assert values.bound("model", "x" * 1000) == "x" * MAX_LENGTH
    assert values.bound("model", "y") == conventions.OTHER
    assert values.bound("role", "y") == "y"
    assert values.bound("model", "x" * 2000) == "x" * MAX_LENGTH


class RolloutMoved(Event):
    """An event of a class that the plugin does not know."""


def test_events_of_other_classes_are_counted_by_their_names(scene):
    """Those that come later, too."""
    scene.observer(RolloutMoved(0, None))
    scene.observer(ProviderCloseFailed(0, None, "actor", "RuntimeError"))

    assert scene.collect()["kickai.events"] == [
        ({"kickai.event": "RolloutMoved"}, 1),
        ({"kickai.event": "ProviderCloseFailed"}, 1),
    ]


def test_an_event_of_another_class_is_on_the_span_of_its_request(scene):
    """Under its class's name."""
    with scene.open() as resolver:
        stream = resolver.chain("actor:ok").stream(PROMPT)
        next(stream)
        (number,) = scene.observer._open._open
        scene.observer(RolloutMoved(number, None))
        list(stream)

    assert [event.name for event in scene.spans[-1].events] == ["kickai.rollout_moved"]


def test_the_table_has_each_name_once_and_only_known_prefixes():
    """What the conventions do not name begins with ``kickai.``."""
    emitted = [name for metric in metric_table.METRICS for name in (metric.name, metric.previous_name) if name]

    assert len(set(emitted)) == len(emitted)
    assert all(name.startswith(("gen_ai.client.", "kickai.")) for name in emitted)
    assert all(metric.description.endswith(".") for metric in metric_table.METRICS)
