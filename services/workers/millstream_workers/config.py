"""What a worker is told when it starts."""

from msgspec import Struct

from millstream_contracts import DEFAULT_TENANT, Tenant
from millstream_streams import RedisAddress
from millstream_submission import UnknownTypes


class WorkerConfig(Struct, frozen=True, kw_only=True):
    """Settings of one worker process; the composition root reads them from the environment."""

    redis: RedisAddress
    """Where Redis is and how to get in."""
    namespace: str = "ms"
    tenant: Tenant = DEFAULT_TENANT
    app_refs: tuple[str, ...] = ()
    """`module:attribute` of the apps, for handlers that run in processes of their own."""
    types: tuple[str, ...] = ("*",)
    """Shell patterns of the job types to work on."""
    concurrency: int = 100
    """Handlers that run at once."""
    lease_s: float = 30.0
    """A delivery whose lease was not renewed for so long is taken back. It bounds no job's length."""
    max_crashes: int = 3
    """As the reapers have it: a job that has one crash left runs alone."""
    stalled_loop_s: float = 60.0
    """An event loop that has not turned for so long is taken for dead: no lease is renewed, `/livez` fails."""
    renew_every_s: float = 2.0
    """Also how late a handler may learn of its cancellation when the hint was lost."""
    grace_s: float = 20.0
    """How long running handlers may go on after SIGTERM, before they are stopped and their jobs handed back."""
    cleanup_s: float = 5.0
    """How long a handler that is stopped, for whatever reason, may clean up before it is cancelled for good."""
    weights: tuple[int, int, int] | None = (70, 20, 10)
    """How to share out claims between high, normal and low; None for strict order."""
    unknown_types: UnknownTypes = "refuse"
    """As ingest has it: what becomes of a handler's submission whose type no worker has registered."""
    beat_every_s: float = 5.0
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None
    trace_propagation: str = "auto"
    code_version: str = ""
