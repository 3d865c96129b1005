"""Random draws from a seed. They depend on the seed, the model and the number of the call, and on nothing else.

No generator has a state that threads would share: the n-th call of a model gets the same draws in any thread and mode,
whatever the other models do.
"""

from __future__ import annotations

from hashlib import blake2b
from math import cos, exp, log, pi, sqrt

__all__ = ["draw_lognormal", "draw_shares"]

_BYTES = 8


def draw_shares(seed: int, model: str, number: int) -> tuple[float, float, float]:
    """Return three independent numbers, uniform in the open interval (0, 1): one for the fault, two for the latency.

    They are 52 bits each of a BLAKE2b digest (RFC 7693), in the middle of their step so that neither 0 nor 1 occurs.
    """
    digest = blake2b(f"{seed}/{number}/{model}".encode(), digest_size=3 * _BYTES).digest()
    one, two, three = (int.from_bytes(digest[at : at + _BYTES]) >> 12 for at in (0, _BYTES, 2 * _BYTES))
    return (one + 0.5) / 2.0**52, (two + 0.5) / 2.0**52, (three + 0.5) / 2.0**52


def draw_lognormal(one: float, other: float, median: float, sigma: float) -> float:
    """Return a draw from a lognormal distribution, from two independent draws in (0, 1).

    By G. E. P. Box and M. E. Muller, "A Note on the Generation of Random Normal Deviates", 1958.

    Args:
        one: In (0, 1).
        other: In (0, 1).
        median: The median of the distribution.
        sigma: The standard deviation of the logarithm, from 0.
    """
    return median * exp(sigma * sqrt(-2.0 * log(one)) * cos(2.0 * pi * other))
