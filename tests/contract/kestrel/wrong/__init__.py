"""Wrong providers, each different from the good one in one thing, and the test that is meant to find it.

A mutant is a `Client` or a `KestrelPlugin` with a method of its own. ``found_by`` names the test that is there for its
fault, ``also`` those that cannot but see it too.
"""

from kestrel.wrong import freeing, hooks, questions, refusals, replies, secrecy, sharing, streams, timing  # noqa: F401 - each enters its own
from kestrel.wrong.register import MUTANTS, Mutant

__all__ = ["MUTANTS", "Mutant"]
