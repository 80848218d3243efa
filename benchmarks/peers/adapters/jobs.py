"""The parts that all measured systems share: the payload, the wait, and the environment that the driver sets.

Runs in the peers' own environments: standard library only.
"""

import os

PAYLOAD = "x" * 198
"""200 bytes on the wire, in JSON as in MessagePack."""

IO_S = 0.01
BULK = 1_000
"""The jobs in one call of a system that takes many and documents no number."""

ENQUEUERS = 32
"""The concurrent calls of a system that takes one job a call; streaQ's benchmark does so for all of its rivals."""


def redis_url() -> str:
    """Return the address of the Redis of this measurement."""
    return os.environ["BENCH_REDIS_URL"]


def concurrency() -> int:
    """Return how many jobs one worker process is to run at a time."""
    return int(os.environ["BENCH_CONCURRENCY"])


def stores_results() -> bool:
    """Return whether results are kept, for a system that is measured both ways."""
    return os.environ.get("BENCH_RESULTS") == "1"
