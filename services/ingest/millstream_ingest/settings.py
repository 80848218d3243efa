"""Settings of ingest."""

from typing import Annotated

from msgspec import Meta

from millstream_contracts import limits
from millstream_runtime import HistorySettings, ListenPort
from millstream_submission import UnknownTypes


class IngestSettings(HistorySettings, frozen=True, kw_only=True):
    """Settings of the HTTP API."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 means all addresses."""
    port: ListenPort = 8080
    """The port to listen on."""
    max_body_bytes: Annotated[int, Meta(ge=1_024, le=limits.MAX_BODY_BYTES)] = limits.MAX_BODY_BYTES
    """The largest request with one job; more is a 413."""
    max_batch_body_bytes: Annotated[int, Meta(ge=1_024, le=limits.MAX_BATCH_BODY_BYTES)] = limits.MAX_BATCH_BODY_BYTES
    """The largest request with many jobs."""
    max_backlog_jobs: Annotated[int, Meta(ge=limits.MAX_BATCH_JOBS, le=1_000_000)] = 20_000
    """Most jobs that wait for Redis in memory; above that, requests are refused with 503."""
    unknown_types: UnknownTypes = "refuse"
    """Whether a job type that no worker has registered is refused, once any type is registered. [ADR
    2](adr/0002-unknown-job-types.md) has the reasons for the default."""
    max_listeners: Annotated[int, Meta(ge=0, le=100_000)] = 5_000
    """Most clients that follow events live over this process; further ones are refused with 503."""
    drain_s: Annotated[float, Meta(ge=0.0, le=300.0)] = 1.0
    """How long the port stays open after SIGTERM while readiness fails, so that load balancers stop sending requests
    first. Set it above the period of their probe."""
