"""The plugin, as an application uses it: with global providers, without an SDK, and after a fork."""

from __future__ import annotations

import json
import os

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from programs import run_program
from scene import PROMPT, Scene

OPEN = """
    import json, sys
    import kickai_otel.plugin
    from kickai_providers_core import Resolver
    from scene import make_plugins

    def open_resolver():
        plugins = {**make_plugins(), "otel": kickai_otel.plugin}
        return Resolver.from_settings({"kickai": {"plugins": []}}, env={}, plugins=plugins)
"""


def test_spans_and_metrics_go_to_global_providers_that_are_set_later():
    """The application configures OpenTelemetry after the plugin was loaded and has observed a request."""
    printed = run_program(
        OPEN
        + """
    from opentelemetry import metrics, trace
    from scene import Scene

    with open_resolver() as resolver:
        resolver.chain("actor:ok").invoke("before")
        scene = Scene()
        trace.set_tracer_provider(scene.tracer_provider)
        metrics.set_meter_provider(scene.meter_provider)
        resolver.chain("actor:down", "gemini:ok").invoke("after")
    spans = [(span.name, span.instrumentation_scope.name) for span in scene.spans]
    print(json.dumps([spans, scene.collect()["kickai.request.duration"][0][1][0]]))
    """
    )
    spans, requests = json.loads(printed)

    assert spans[-2:] == [["chat ok", "kickai_otel"], ["kickai.request", "kickai_otel"]]
    assert requests == 1


def test_nothing_happens_without_an_sdk():
    """The API alone is enough, and the SDK is not imported."""
    printed = run_program(
        """
        import sys
        sys.modules["opentelemetry.sdk"] = None  # not installed
        import kickai_otel.plugin
        from kickai_providers_core import FinishReason, ProviderInfo, Reply, Resolver
        from kickai_providers_core.authoring import hooks_for

        class Shout:
            def __init__(self, settings):
                pass

            def invoke(self, request, timeout_s):
                return Reply(text=request.messages[-1].content.upper(), finish_reason=FinishReason.STOP)

        shout = hooks_for(ProviderInfo(name="shout", summary="shouts"), Shout)
        plugins = {"otel": kickai_otel.plugin, "shout": shout}
        with Resolver.from_settings({"kickai": {"plugins": []}}, env={}, plugins=plugins) as resolver:
            print(resolver.chain("shout").invoke("hi"), len(kickai_otel.plugin._observe._open))
        """
    )

    assert printed == "HI 0\n"


def test_the_environment_sets_the_plugin():
    """The variables are read when the plugin is imported."""
    printed = run_program(
        """
        import kickai_otel.plugin
        from scene import Scene
        print(kickai_otel.plugin._observe._provider_names["actor"])
        """,
        env={"KICKAI_OTEL_PROVIDER_NAMES": "actor=huggingface"},
    )

    assert printed == "huggingface\n"


def test_an_invalid_variable_makes_the_plugin_unusable_and_nothing_else():
    """Importing it raises an error that names the variable."""
    with pytest.raises(AssertionError, match="ValueError: KICKAI_OTEL_MAX_VALUES must be an integer"):
        run_program("import kickai_otel.plugin", env={"KICKAI_OTEL_MAX_VALUES": "none"})


class Broken(SpanProcessor):
    """A processor that always raises."""

    def on_start(self, span, parent_context=None):
        """Raise."""
        raise RuntimeError("cannot start")

    def on_end(self, span):
        """Raise."""
        raise RuntimeError("cannot end")


def test_an_exporter_that_raises_fails_no_request(caplog):
    """The core reports it once, and the application gets its answers."""
    scene = Scene(tracer_provider=TracerProvider(shutdown_on_exit=False))
    scene.tracer_provider.add_span_processor(Broken())
    with scene.open() as resolver:
        replies = [resolver.chain("actor:down", "gemini:ok").invoke(PROMPT) for _ in range(3)]
    scene.close()

    assert [reply.provider for reply in replies] == ["gemini"] * 3
    assert sum("OtelObserver" in record.message for record in caplog.records) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_has_its_own_spans_and_none_of_its_parent():
    """The stream that was open when the process forked ends in the parent only, also in the metrics."""
    printed = run_program(
        """
        import json, os, sys
        from scene import Scene

        scene = Scene()
        with scene.open() as resolver:
            stream = resolver.chain("actor:stream").stream("hi")
            next(stream)
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    list(stream)
                except RuntimeError:
                    pass
                stream.close()
                resolver.chain("gemini:child").invoke("hi")
            else:
                os.close(writing)
                list(stream)
        spans = [span.name for span in scene.spans]
        requests = [attributes["kickai.instance"] for attributes, _ in scene.collect()["kickai.request.duration"]]
        if pid == 0:
            os.write(writing, json.dumps([spans, requests]).encode())
            os._exit(0)
        child = os.read(reading, 10_000).decode()
        assert os.waitpid(pid, 0)[1] == 0
        print(json.dumps([json.loads(child), [spans, requests]]))
        """
    )
    child, parent = json.loads(printed)

    assert child == [["chat child", "kickai.request"], ["gemini"]]
    assert parent == [["chat stream", "kickai.request"], ["actor"]]
