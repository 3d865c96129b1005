"""Chance from a seed: the draws of a call depend on the seed, the model and the call's number, and on nothing else.

There is no generator whose state threads would share: the n-th call of a model gets the same draws whichever
thread makes it, in whichever mode, and whatever the other models were asked before.
"""

from __future__ import annotations

from hashlib import blake2b
from math import exp
from statistics import NormalDist

__all__ = ["lognormal", "shares"]

_NORMAL = NormalDist()


def shares(seed: int, model: str, number: int) -> tuple[float, float]:
    """Return two independent numbers, uniform in the open interval (0, 1): one for the fault, one for the latency.

    They are 52 bits each of a BLAKE2b digest (RFC 7693), in the middle of their step so that neither 0 nor 1 occurs.
    """
    digest = blake2b(f"{seed}/{number}/{model}".encode(), digest_size=16).digest()
    first, second = int.from_bytes(digest[:8]) >> 12, int.from_bytes(digest[8:]) >> 12
    return (first + 0.5) / 2.0**52, (second + 0.5) / 2.0**52


def lognormal(share: float, median: float, sigma: float) -> float:
    """Return the value below which ``share`` of a lognormal distribution lies.

    Args:
        share: In (0, 1).
        median: The value that half of the draws are below.
        sigma: The standard deviation of the logarithm, from 0.
    """
    return median * exp(sigma * _NORMAL.inv_cdf(share))
