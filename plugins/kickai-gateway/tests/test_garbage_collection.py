"""The garbage collector of a worker does not look at what is never garbage."""

from __future__ import annotations

import gc

import pytest
from kickai_providers_core import Resolver
from live import SETTINGS

from kickai_gateway.garbage_collection import FirstAnswers, exempt_objects


@pytest.fixture(autouse=True)
def _collected():
    """Leave nothing exempt."""
    yield
    gc.unfreeze()


def test_objects_at_the_start_are_exempt():
    """Those of imported modules, for example, and again when some of them are exempt already."""
    exempt_objects()
    count = gc.get_freeze_count()
    assert count > 10_000
    exempt_objects()
    assert gc.get_freeze_count() > count / 2


async def test_what_the_first_call_of_each_instance_creates_is_exempt(script):
    """Once for each instance: a later pause would hit other requests."""
    resolver = Resolver.from_settings(
        SETTINGS,
        env={},
        plugins={name: script.plugin(name) for name in ("one", "two")},
        observers=[FirstAnswers()],
    )
    counts = []
    async with resolver:
        for targets in ("one", "one", "two", "two"):
            await resolver.chain(targets).ainvoke("Who can play?")
            counts.append(gc.get_freeze_count())
            gc.unfreeze()
    assert [count > 0 for count in counts] == [True, False, True, False]
