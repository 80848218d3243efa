"""What ingest can be told. The command line maps its settings and variables to it."""

from msgspec import Struct

from millstream_contracts import limits
from millstream_streams import RedisAddress
from millstream_streams.store.keys import DEFAULT_NAMESPACE
from millstream_submission import UnknownTypes
from millstream_telemetry import Level, Propagation


class IngestConfig(Struct, frozen=True, kw_only=True):
    """Settings of one ingest process."""

    redis: RedisAddress
    """Where Redis is and how to get in."""
    namespace: str = DEFAULT_NAMESPACE
    """What all keys begin with."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is all of them."""
    port: int = 8080
    """Port to listen on, 0 to 65535; 0 takes a free one."""
    admin_host: str = "127.0.0.1"
    """Address of the health and metrics routes when they have a port of their own."""
    admin_port: int | None = None
    """Port of the health and metrics routes; None has them on the public port."""
    log_level: Level = "info"
    """The least grave of what is logged."""
    trace_propagation: Propagation = "auto"
    """Whether a job continues its caller's trace or links to it."""
    unknown_types: UnknownTypes = "refuse"
    """What becomes of a job type that no worker has registered, once any type is registered.
    docs/adr/0002-unknown-job-types.md says why the default is to refuse."""
    max_body_bytes: int = limits.MAX_BODY_BYTES
    """Largest request with one job."""
    max_batch_body_bytes: int = limits.MAX_BATCH_BODY_BYTES
    """Largest request with many jobs."""
    max_backlog_jobs: int = 20_000
    """Jobs held in memory while they wait for Redis, at least one whole batch; above it requests are refused."""
    patience_s: float = 0.5
    """For how long a call is tried again that Redis has refused or cut off, 0 to 0.5: within a second a client shall
    know where it stands."""
    drain_s: float = 1.0
    """From SIGTERM until the port is closed, 0 or more. Readiness fails from the beginning of it, so that a
    load balancer can look away first; set it above the period of its probe."""
    grace_s: float = 20.0
    """From then on, for how long requests in hand may take to end."""
