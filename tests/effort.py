"""How many examples the tests of properties draw."""

from __future__ import annotations

import os

SHARE = 1 if os.environ.get("CI") else 5


def count_examples(most: int) -> int:
    """Return the number of examples of a property: all of them in CI, a fifth elsewhere, which takes less time."""
    return max(10, most // SHARE)
