"""The whole system, as processes that users run, outlasts one fault of Redis after the other."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
import redis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from chaos.fault_proxy import FaultProxy
from listening import announced_url
from ports import reserve_ports
from system.running import System, environment, millstream, running_system, settled, started
from waiting import wait_until
from written import whole_lines

from millstream import Client, JobNotFoundError
from millstream_cli.embedded import EmbeddedRedis, start_embedded_redis
from millstream_cli.parent_watch import guarded
from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import JobState


class Link:
    """A proxy for a Redis of this test's own, which can be broken.

    It runs in a thread, because starting a system blocks.
    """

    def __init__(self, portal: BlockingPortal, proxy: FaultProxy, server: EmbeddedRedis) -> None:
        self.url = proxy.url
        self.server = server
        self._portal = portal
        self._proxy = proxy

    def refuse(self) -> None:
        """Reset every connection."""
        self._portal.call(self._proxy.refuse)

    def swallow(self) -> None:
        """Accept connections, and let nothing pass."""
        self._portal.call(self._proxy.swallow)

    def heal(self) -> None:
        """Let new connections pass; old ones are closed."""
        self._portal.call(self._proxy.cut)
        self._portal.call(self._proxy.heal)

    def lead_to(self, server: EmbeddedRedis) -> None:
        """Lead new connections to this server. Old ones stay as they are."""
        self._proxy.redis = ("127.0.0.1", server.port)


@pytest.fixture
def link(own_redis: EmbeddedRedis) -> Iterator[Link]:
    """Yield a link to a Redis that the test may break."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(FaultProxy(("127.0.0.1", own_redis.port))) as proxy,
    ):
        yield Link(portal, proxy, own_redis)


@contextmanager
def direct(server: EmbeddedRedis) -> Iterator[redis.Redis]:
    """Yield a connection to a server that does not go through the link."""
    with redis.Redis(port=server.port, protocol=2, decode_responses=True) as client:
        yield client


def forbid(link: Link, rule: str) -> None:
    """Change the rights of services, also on existing connections."""
    with direct(link.server) as client:
        client.acl_setuser("default", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all", rule])


def demand_replicas(link: Link, count: int) -> None:
    """Accept writes only while this many replicas follow."""
    with direct(link.server) as client:
        client.config_set("min-replicas-to-write", count)


FAULTS: dict[str, tuple[Callable[[Link], None], Callable[[Link], None]]] = {
    "resets": (Link.refuse, Link.heal),
    "silence": (Link.swallow, Link.heal),
    "no rights": (lambda link: forbid(link, "-evalsha"), lambda link: forbid(link, "+evalsha")),
    "no writes": (lambda link: demand_replicas(link, 1), lambda link: demand_replicas(link, 0)),
}
"""How each begins and ends."""


async def test_system_outlasts_every_fault_of_redis_without_a_restart(
    link: Link, redis_binary: RedisBinary, tmp_path: Path, folder: Path
) -> None:
    """The system outlasts every fault of Redis: 503 with Retry-After meanwhile, no restart, no charge to a long job.

    The last fault is a failover behind one address, at which the old primary stays up as a replica.
    """
    payload = {"folder": str(folder)}
    environ = {"MILLSTREAM_REDIS_TIMEOUT_S": "0.9"}  # as it is by default: a submission is refused soon
    with ExitStack() as servers, running_system(tmp_path, redis_url=link.url, environ=environ) as system:
        async with system.http() as http, system.client() as client:
            pids = await system.worker_pids()
            long = await client.submit("chore.gate", payload)
            await started(folder, 1)
            for begin, end in FAULTS.values():
                begin(link)
                await wait_until(lambda: is_refused(http), "submissions are refused")
                await check_live(system)
                end(link)
                await runs_on(system, client, payload)
            second = servers.enter_context(start_embedded_redis(tmp_path / "second", binary=redis_binary))
            fail_over(link, second)
            await runs_on(system, client, payload)
            (folder / "go").touch()
            (job,) = await settled(client, [long.id])
            assert (job.state, job.attempts, job.crashes) == (JobState.SUCCEEDED, 1, 0)
            assert await system.worker_pids() == pids
            assert system.restarts() == []


async def is_refused(http: httpx2.AsyncClient) -> bool:
    """Return whether a submission is refused; any third response fails the test."""
    answer = await http.post("/v1/jobs", json={"type": "chore.retried"})
    if answer.status_code == 202:
        return False
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    return True


async def is_found(client: Client, job_id: str) -> bool:
    """Return whether a job can be read."""
    try:
        await client.get(job_id)
    except JobNotFoundError:
        return False
    return True


async def check_live(system: System) -> None:
    """Check that no liveness probe fails."""
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        for name, url in system.admin_urls.items():
            answer = await http.get(f"{url}/livez")
            assert answer.status_code == 200, f"{name}: {answer.text}"


async def runs_on(system: System, client: Client, payload: dict[str, str]) -> None:
    """Return once every service is ready, and jobs that are due at once and later have run."""
    await system.wait_all_ready()
    ids = [(await client.submit("chore.count", payload, delay=delay)).id for delay in (None, 0.2)]
    # A connection that has only read since a failover leads to the old primary, which learns of jobs a moment later.
    for job_id in ids:
        await wait_until(lambda job_id=job_id: is_found(client, job_id), "the job is found")
    assert {job.state for job in await settled(client, ids)} == {JobState.SUCCEEDED}


def fail_over(link: Link, server: EmbeddedRedis) -> None:
    """Promote a replica, and make the old primary follow it."""
    with direct(link.server) as old, direct(server) as new:
        old.config_set("repl-diskless-sync-delay", 0)
        new.replicaof("127.0.0.1", link.server.port)
        while new.info("replication")["master_link_status"] != "up":
            time.sleep(0.01)
        new.replicaof("NO", "ONE")
        old.replicaof("127.0.0.1", server.port)
    link.lead_to(server)


SERVICES = {"worker": ["system.chores:app"], "dispatcher": [], "reaper": []}


async def test_services_that_wait_for_redis_say_so_and_leave_when_told(tmp_path: Path) -> None:
    """A service that waits for Redis is live and unready, says why, and ends at SIGTERM."""
    [dead_port] = reserve_ports(1)
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(
                service(tmp_path, name, *apps, redis_url=f"redis://127.0.0.1:{dead_port}/0", admin_port=0)
            )
            for name, apps in SERVICES.items()
        }
        async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
            for name in SERVICES:
                log = tmp_path / f"{name}.err"
                await wait_until(lambda log=log: says_unready(http, log), "it says what it waits for", 60)
                assert (await http.get(f"{announced_url(log, 'admin')}/livez")).status_code == 200
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        for process in processes.values():
            await wait_until(lambda process=process: process.poll() is not None, "it ends")
        assert {name: process.returncode for name, process in processes.items()} == dict.fromkeys(SERVICES, 0)
        for name in SERVICES:
            assert [line for line in error_output(tmp_path, name) if not line.startswith("{")] == [], "it says no more"


def error_output(folder: Path, name: str) -> list[str]:
    """Return the lines of a service on standard error."""
    return whole_lines(folder / f"{name}.err")


@contextmanager
def service(folder: Path, name: str, *words: str, **settings: object) -> Iterator["subprocess.Popen[bytes]"]:
    """Run one service while the block lasts."""
    variables = {f"MILLSTREAM_{key.upper()}": str(value) for key, value in settings.items()}
    with (
        (folder / f"{name}.err").open("wb") as log,
        subprocess.Popen(
            guarded(millstream(name, *words)),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment(**variables),
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


async def says_unready(http: httpx2.AsyncClient, log: Path) -> bool:
    """Return whether a readiness probe fails and names Redis."""
    if (url := announced_url(log, "admin")) is None:
        return False
    try:
        answer = await http.get(f"{url}/readyz")
    except httpx2.HTTPError:
        return False
    failing = [check["name"] for check in answer.json()["checks"] if not check["ok"]]
    return answer.status_code == 503 and failing == ["redis"]
