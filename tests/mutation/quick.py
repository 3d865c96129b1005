"""A pytest plugin: properties with few examples and without a time limit, the same ones each time."""

from __future__ import annotations

from hypothesis import settings

EXAMPLES = 60

settings.register_profile(
    "quick", max_examples=EXAMPLES, stateful_step_count=30, deadline=None, derandomize=True, database=None
)
settings.load_profile("quick")


def pytest_collection_modifyitems(items):
    """Bring those down that ask for more by themselves."""
    for machine in {getattr(item, "cls", None) for item in items}:
        own = getattr(machine, "settings", None)
        if isinstance(own, settings) and own.max_examples > EXAMPLES:
            machine.settings = settings(own, max_examples=EXAMPLES)
    for item in items:
        function = getattr(item, "obj", None)
        own = getattr(function, "_hypothesis_internal_use_settings", None)
        if own is not None and own.max_examples > EXAMPLES:
            function._hypothesis_internal_use_settings = settings(own, max_examples=EXAMPLES)
