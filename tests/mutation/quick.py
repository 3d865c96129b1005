"""A pytest plugin: property tests with few examples, always the same ones, and without a time limit."""

from __future__ import annotations

from hypothesis import settings

EXAMPLES = 60

settings.register_profile(
    "quick", max_examples=EXAMPLES, stateful_step_count=30, deadline=None, derandomize=True, database=None
)
settings.load_profile("quick")


def pytest_collection_modifyitems(items):
    """Reduce the examples of tests that set a higher number themselves."""
    for machine in {getattr(item, "cls", None) for item in items}:
        own = getattr(machine, "settings", None)
        if isinstance(own, settings) and own.max_examples > EXAMPLES:
            machine.settings = settings(own, max_examples=EXAMPLES)
    for item in items:
        function = getattr(item, "obj", None)
        own = getattr(function, "_hypothesis_internal_use_settings", None)
        if own is not None and own.max_examples > EXAMPLES:
            function._hypothesis_internal_use_settings = settings(own, max_examples=EXAMPLES)
