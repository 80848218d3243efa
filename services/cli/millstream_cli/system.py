"""Runs the whole system on one machine, for `up` and `demo`: its processes, their environment, their readiness.

Both commands run it alike; they differ in what they do with it.
"""

import socket
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.to_thread
from msgspec import Struct

from millstream_cli.addresses import Addresses
from millstream_cli.child import ChildSpec, Sink
from millstream_cli.embedded import EmbeddedRedis, start_embedded_redis
from millstream_cli.errors import PortInUseError, StoppedEarlyError
from millstream_cli.postgres.history_start import start_history
from millstream_cli.redis_look import look_at_redis
from millstream_cli.supervisor import Supervisor, supervise
from millstream_cli.webhook_key import with_webhook_key
from millstream_runtime import Announcement, ProcessSettings, ServiceSettings, unwrapped, variables_of
from millstream_streams import RedisAddress

HOST = "127.0.0.1"
READY_WITHIN_S = 60.0
STOP_GRACE_S = 30.0
ANNOUNCEMENTS = frozenset({"admin", "listening"})
"""Log lines by which addresses are learnt. They need not be shown: `RunningSystem` has the addresses."""

_OURS = {"host", "port", "admin_port", "processes", "console_host", "console_port", "console_path"}
"""Settings that this module decides."""
_OF_REDIS = set(ServiceSettings.__struct_fields__) - set(ProcessSettings.__struct_fields__) - {"namespace"}
"""Settings that it decides too when it starts the Redis. The user's own are for another Redis, and the embedded one
would refuse them."""


class SystemPlan(Struct, frozen=True, kw_only=True):
    """The processes to run."""

    folder: Path
    """Where the embedded Redis keeps its data."""
    history: Path | None = None
    """Where the embedded PostgreSQL keeps its data; None starts none."""
    redis: RedisAddress | None = None
    """An existing Redis, as `environ` names it; None starts the embedded one."""
    port: int = 8080
    """The port of the HTTP API; 0 takes a free one."""
    console_port: int | None = None
    """The port of the console; 0 takes a free one, and None runs none."""
    workers: int = 2
    grace_s: float = STOP_GRACE_S
    """How long the processes of a stage may take to end; longer than the settings in `environ` let workers take."""
    apps: tuple[str, ...] = ()
    environ: Mapping[str, str]
    """The environment of all services. Variables that this module decides are removed."""
    namespace: str = ServiceSettings().namespace
    """The namespace of the keys in an existing Redis."""

    @property
    def names(self) -> list[str]:
        """Return the names of the processes."""
        console = [] if self.console_port is None else ["console"]
        return ["ingest", "dispatcher", "reaper", *console, *self.worker_names]

    @property
    def worker_names(self) -> list[str]:
        """Return the names of the workers."""
        return [f"worker-{index + 1}" for index in range(self.workers)]


class RunningSystem(Struct, frozen=True):
    """A running system and its addresses."""

    supervisor: Supervisor
    url: str
    """The address of the HTTP API."""
    console_url: str | None
    """The address of the console; None without one."""
    redis_url: str
    """The address of Redis, without credentials."""
    history_url: str | None
    """The address of the embedded PostgreSQL; None without one."""
    admin_urls: Mapping[str, str]
    """The addresses of the health and metrics routes, by process."""


@asynccontextmanager
async def run_system(plan: SystemPlan, sink: Sink) -> AsyncIterator[RunningSystem]:
    """Run the system while the block lasts. The block begins when every service is ready.

    Raises: PortInUseError, NoRedisError, ServerStartError, ChildEndedError, NotReadyError, StoreError;
    StoppedEarlyError, when a signal comes before the block.
    """
    for port in (plan.port, plan.console_port or 0):
        _check_port(port)
    addresses, was_up = _addresses(plan), False
    with ExitStack() as stack:
        # It hears signals from here on, also while nothing runs yet.
        async with supervise((), sink, grace_s=plan.grace_s, overhear=addresses.hear) as supervisor:
            embedded, history = await _start(plan, supervisor, stack)
            if plan.console_port is not None:
                await _start_console(plan, supervisor, addresses)
            urls = await _wait_ready(supervisor, addresses, plan.names)
            redis_url = embedded.url if embedded else plan.redis.text if plan.redis else ""
            was_up = True
            yield RunningSystem(supervisor, urls["ingest"], urls.get("console"), redis_url, history, urls)
    if not was_up:
        raise StoppedEarlyError([number.name for number in supervisor.signals])


def _addresses(plan: SystemPlan) -> Addresses:
    """Return where the processes listen, as far as that is decided here."""
    addresses = Addresses(plan.names)
    for name, port in (("ingest", plan.port), ("console", plan.console_port)):
        if port:
            addresses.know(name, Announcement("listening", HOST, port))
    return addresses


async def _start(plan: SystemPlan, supervisor: Supervisor, stack: ExitStack) -> tuple[EmbeddedRedis | None, str | None]:
    """Start the servers and the services. Return the embedded Redis, and the address of the embedded PostgreSQL."""
    history: str | None = None

    async def _open_history(folder: Path) -> None:
        nonlocal history
        history = await start_history(folder, stack)

    with unwrapped():
        async with anyio.create_task_group() as tasks:
            if plan.history is not None:
                tasks.start_soon(_open_history, plan.history)
            embedded = await _redis(plan, stack)
            environ = with_webhook_key(_environ(plan.environ, embedded), plan.folder.parent)
            # These have nothing to do with the history, and start while PostgreSQL does.
            supervisor.start(_specs(plan, environ, {"reaper", *plan.worker_names}))
    environ |= {"MILLSTREAM_HISTORY_URL": history} if history else {}
    supervisor.start(_specs(plan, environ, {"ingest", "dispatcher"}))
    return embedded, history


async def _start_console(plan: SystemPlan, supervisor: Supervisor, addresses: Addresses) -> None:
    """Start the console, once ingest has said where it listens. Raises: NotReadyError."""
    ingest = await addresses.wait_for("ingest", within_s=READY_WITHIN_S)
    environ = {name: value for name, value in plan.environ.items() if name not in variables_of("url")}
    supervisor.start([_spec("console", plan, _environ(environ, None) | {"MILLSTREAM_URL": ingest.url})])


def _specs(plan: SystemPlan, environ: Mapping[str, str], names: set[str]) -> Iterable[ChildSpec]:
    return [_spec(name, plan, environ) for name in plan.names if name in names]


async def _redis(plan: SystemPlan, stack: ExitStack) -> EmbeddedRedis | None:
    """Start the embedded Redis, which the stack ends; or look at the user's own."""
    if plan.redis is not None:
        await look_at_redis(plan.redis, plan.namespace)
        return None
    start = partial(start_embedded_redis, plan.folder, look_up=anyio.from_thread.check_cancelled)
    return stack.enter_context(await anyio.to_thread.run_sync(start))


async def _wait_ready(supervisor: Supervisor, addresses: Addresses, names: Sequence[str]) -> Mapping[str, str]:
    """Return the addresses of these processes, once all are ready. Raises: NotReadyError."""
    found = await addresses.wait(within_s=READY_WITHIN_S)
    for name, address in found.items():
        # A restarted process takes the same port again: people and scrapers know it.
        supervisor.set_variable(name, _port_variable(name), str(address.port))
    urls = {name: found[name].url for name in names}
    await supervisor.wait_ready(*(f"{url}/readyz" for url in urls.values()), timeout_s=READY_WITHIN_S)
    return urls


def _environ(environ: Mapping[str, str], embedded: EmbeddedRedis | None) -> dict[str, str]:
    """Return the environment that all services share."""
    fields = _OURS | _OF_REDIS if embedded else _OURS
    decided = {variable for field in fields for variable in variables_of(field)}
    kept = {variable: value for variable, value in environ.items() if variable not in decided}
    return kept | ({"MILLSTREAM_REDIS_URL": embedded.url} if embedded else {})


def _spec(name: str, plan: SystemPlan, environ: Mapping[str, str]) -> ChildSpec:
    command = name.partition("-")[0]
    options = plan.apps if command == "worker" else ()
    # With port 0 the service takes a free port itself: one found here could be taken by another process meanwhile.
    ports = {"ingest": plan.port, "console": plan.console_port or 0}
    env = {**environ, _port_variable(name): str(ports.get(command, 0))}
    if command == "worker" and plan.port and not any(env.get(variable) for variable in variables_of("url")):
        # Built-in handlers read what a query finds from this ingest.
        env["MILLSTREAM_URL"] = f"http://{HOST}:{plan.port}"
    # Workers stop first: the jobs that they finish while they drain still need the other services.
    stage = 0 if command == "worker" else 1
    argv = (sys.executable, "-P", "-m", "millstream_cli.main", command, *options)
    return ChildSpec(name=name, argv=argv, env=env, stage=stage)


def _port_variable(name: str) -> str:
    """Return the variable that sets the port of a process's health routes."""
    return {"ingest": "MILLSTREAM_PORT", "console": "MILLSTREAM_CONSOLE_PORT"}.get(name, "MILLSTREAM_ADMIN_PORT")


def is_free(port: int) -> bool:
    """Return whether a port of this machine can be listened on."""
    try:
        with socket.create_server((HOST, port)):
            return True
    except OSError:
        return False


def _check_port(port: int) -> None:
    """Refuse a port that is taken: another process there would pass the readiness checks. Raises: PortInUseError."""
    if not is_free(port):
        raise PortInUseError(port)
