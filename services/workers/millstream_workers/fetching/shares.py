"""Splits the next claim between the priorities, so that `low` is never starved."""

import random

Shares = tuple[int, int, int]
"""Jobs to take from high, normal and low, before what is left is filled up in that order."""

STRICT: Shares = (0, 0, 0)


def share_out(limit: int, weights: Shares | None) -> Shares:
    """Split `limit` by weight. A remainder is drawn by lot, so that a claim of 1 is fair as well."""
    if weights is None:
        return STRICT
    total = sum(weights)
    high, normal, low = (limit * weight // total for weight in weights)
    shares = [high, normal, low]
    for place in random.choices((0, 1, 2), weights, k=limit - sum(shares)):
        shares[place] += 1
    return shares[0], shares[1], shares[2]
