"""What can be set of ingest."""

from typing import Annotated

from msgspec import Meta

from millstream_contracts import limits
from millstream_runtime import ListenPort, ServiceSettings
from millstream_submission import UnknownTypes


class IngestSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of the HTTP API."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 is all of them."""
    port: ListenPort = 8080
    """The port to listen on."""
    max_body_bytes: Annotated[int, Meta(ge=1_024, le=limits.MAX_BODY_BYTES)] = limits.MAX_BODY_BYTES
    """The largest request with one job; more is a 413."""
    max_batch_body_bytes: Annotated[int, Meta(ge=1_024, le=limits.MAX_BATCH_BODY_BYTES)] = limits.MAX_BATCH_BODY_BYTES
    """The largest request with many jobs."""
    max_backlog_jobs: Annotated[int, Meta(ge=limits.MAX_BATCH_JOBS, le=1_000_000)] = 20_000
    """Jobs held in memory while they wait for Redis; above it requests are refused with 503."""
    unknown_types: UnknownTypes = "refuse"
    """What becomes of a job type that no worker has registered, once any type is registered. [ADR
    2](adr/0002-unknown-job-types.md) says why the default is to refuse."""
    drain_s: Annotated[float, Meta(ge=0.0, le=300.0)] = 1.0
    """From SIGTERM until the port is closed, while readiness fails, so that a load balancer can look away first; above
    the period of its probe."""
