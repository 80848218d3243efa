"""What a reaper is told when it starts."""

from msgspec import Struct

from millstream_streams import RedisAddress


class ReaperConfig(Struct, frozen=True, kw_only=True):
    """Settings of one reaper; the composition root reads them from the environment."""

    redis: RedisAddress
    """Where Redis is and how to get in."""
    namespace: str = "ms"
    lease_s: float = 30.0
    """Must not be shorter than the workers' own."""
    max_crashes: int = 3
    """Deliveries that may end with the worker's death before the job is buried."""
    recover_every_s: float = 5.0
    trim_every_s: float = 10.0
    """How often an event stream is trimmed that grows; one that had nothing to trim is left alone for twice as long."""
    sweep_every_s: float = 60.0
    events_kept: int = 1_000
    """Entries of a queue's event stream that are kept when no consumer group reads it. One may tell of a hundred jobs
    and take 5 KB."""
    events_cap: int = 1_000_000
    """Entries that are kept at most, seen or not."""
    consumer_idle_s: float = 3600.0
    """After so long without a sign of life an empty consumer is removed."""
    worker_silent_s: float = 60.0
    """After so long without a heartbeat a worker is taken off the list."""
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None
