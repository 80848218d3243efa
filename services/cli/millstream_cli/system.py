"""The whole system on one machine: which processes, with which environment, ready when they say so.

`up` and `demo` differ in what they do with it, not in how it runs.
"""

import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio.to_thread
import msgspec
from msgspec import Struct

from millstream_cli.addresses import Addresses
from millstream_cli.child import ChildSpec, Sink
from millstream_cli.embedded import EmbeddedRedis, start_embedded_redis
from millstream_cli.errors import PortInUseError
from millstream_cli.supervisor import Supervisor, supervise
from millstream_runtime import RedisSettings, variables_of
from millstream_streams import RedisAddress

HOST = "127.0.0.1"
READY_WITHIN_S = 60.0
STOP_GRACE_S = 30.0

_OURS = {"host", "port", "admin_port", "processes"}
"""Settings that this module decides."""
_OF_REDIS = {field.name for field in msgspec.structs.fields(RedisSettings)} - {"namespace"}
"""And those that it decides where it starts the Redis: what is meant for another would keep services out of it."""


class SystemPlan(Struct, frozen=True, kw_only=True):
    """What to run."""

    folder: Path
    """Where the embedded Redis keeps its data."""
    redis: RedisAddress | None = None
    """A Redis that is there already, as `environ` names it; None starts the embedded one."""
    port: int = 8080
    """Of the HTTP API; 0 takes a free one."""
    workers: int = 2
    apps: tuple[str, ...] = ()
    environ: Mapping[str, str]
    """The environment of all services; what this module decides for them is taken out of it."""


class RunningSystem(Struct, frozen=True):
    """What runs, and where."""

    supervisor: Supervisor
    url: str
    """Of the HTTP API."""
    redis_url: str
    """Without credentials."""
    admin_urls: Mapping[str, str]
    """Of the health and metrics routes, by process."""


@asynccontextmanager
async def run_system(plan: SystemPlan, sink: Sink) -> AsyncIterator[RunningSystem]:
    """Run the system for as long as the block lasts; it begins when every service is ready.

    Raises: PortInUseError, NoRedisError, RedisStartError, ChildEndedError, NotReadyError.
    """
    _check_port(plan.port)
    with ExitStack() as stack:
        embedded = None
        if plan.redis is None:
            embedded = await anyio.to_thread.run_sync(start_embedded_redis, plan.folder)
            stack.enter_context(embedded)
        names = ["ingest", "dispatcher", "reaper", *(f"worker-{index + 1}" for index in range(plan.workers))]
        environ = _environ(plan.environ, embedded)
        specs = [_spec(name, plan, environ) for name in names]
        addresses = Addresses(names)
        async with supervise(specs, sink, grace_s=STOP_GRACE_S, overhear=addresses.hear) as supervisor:
            found = await addresses.wait(within_s=READY_WITHIN_S)
            for name, address in found.items():
                # One that is started again comes back where it was: people and scrapers know that address.
                supervisor.set_variable(name, _port_variable(name), str(address.port))
            urls = {name: address.url for name, address in found.items()}
            await supervisor.wait_ready(*(f"{url}/readyz" for url in urls.values()), timeout_s=READY_WITHIN_S)
            redis_url = embedded.url if embedded else plan.redis.text if plan.redis else ""
            yield RunningSystem(supervisor, urls["ingest"], redis_url, urls)


def _environ(environ: Mapping[str, str], embedded: EmbeddedRedis | None) -> dict[str, str]:
    """Return what all services share of their environment."""
    fields = _OURS | _OF_REDIS if embedded else _OURS
    decided = {variable for field in fields for variable in variables_of(field)}
    kept = {variable: value for variable, value in environ.items() if variable not in decided}
    return kept | ({"MILLSTREAM_REDIS_URL": embedded.url} if embedded else {})


def _spec(name: str, plan: SystemPlan, environ: Mapping[str, str]) -> ChildSpec:
    command = name.partition("-")[0]
    options = plan.apps if command == "worker" else ()
    # A port that is looked for here might be another's by the time the service takes it.
    env = {**environ, _port_variable(name): str(plan.port) if command == "ingest" else "0"}
    # Workers go first: what they finish while they drain still needs the others.
    stage = 0 if command == "worker" else 1
    argv = (sys.executable, "-P", "-m", "millstream_cli.main", command, *options)
    return ChildSpec(name=name, argv=argv, env=env, stage=stage)


def _port_variable(name: str) -> str:
    """Return what sets the port on which a process has its health routes."""
    return "MILLSTREAM_PORT" if name == "ingest" else "MILLSTREAM_ADMIN_PORT"


def _check_port(port: int) -> None:
    """Refuse a port that is taken: whoever listens there would pass for our own ingest. Raises: PortInUseError."""
    try:
        with socket.create_server((HOST, port)):
            pass
    except OSError as error:
        raise PortInUseError(port) from error
