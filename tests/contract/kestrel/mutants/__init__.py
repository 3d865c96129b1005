"""Wrong providers. Each differs from the correct one in one respect, and names the test that is meant to find it.

A mutant is a `Client` or a `KestrelPlugin` that overrides a method. ``found_by`` is the test for its fault; ``also``
lists other tests that find the fault too.
"""

from kestrel.mutants import (  # noqa: F401 - each module registers its mutants
    cleanup,
    concurrency,
    contents,
    errors,
    hooks,
    payloads,
    replies,
    requests,
    secrets,
    streams,
    surroundings,
    timeouts,
)
from kestrel.mutants.registry import MUTANTS, Mutant

__all__ = ["MUTANTS", "Mutant"]
