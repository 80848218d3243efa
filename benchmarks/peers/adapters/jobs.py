"""The parts that all measured systems share: the payload, the wait, and the environment that the driver sets.

Runs in the peers' own environments: standard library only.
"""

import os

PAYLOAD = "x" * 198
"""200 bytes on the wire, in JSON as in MessagePack."""

IO_S = 0.01
BULK = 1_000
"""The jobs in one call of a system that takes many and documents no number."""

MANY = 100_000
"""A concurrency limit, and a rate a second, that no system reaches."""

HELD_AT_ONCE = 10
"""The concurrency limit that holds jobs back."""

ENQUEUERS = 32
"""The concurrent calls of a system that takes one job a call; streaQ's benchmark does so for all of its rivals."""


def redis_url() -> str:
    """Return the address of the Redis of this measurement."""
    return os.environ["BENCH_REDIS_URL"]


def concurrency() -> int:
    """Return how many jobs one worker process is to run at a time."""
    return int(os.environ["BENCH_CONCURRENCY"])


def flow_width() -> int:
    """Return how many jobs of a flow one more waits for."""
    return int(os.environ["BENCH_FLOW_WIDTH"])


def stores_results() -> bool:
    """Return whether results are kept, for a system that is measured both ways."""
    return os.environ.get("BENCH_RESULTS") == "1"
