"""Clients and probes of ingest see a Redis that is silent, demoted or full."""

import time
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import anyio
import pytest
from chaos.fault_proxy import FaultProxy
from ingest.serving import Ingest, problem, running_ingest
from msgspec.structs import replace
from waiting import wait_until

from millstream_cli.embedded import start_embedded_redis
from millstream_cli.redis_finder import RedisBinary
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker, open_broker
from millstream_telemetry import configure_logs

SOON_S = 3.0
"""The bound on a refusal. The promise is one second on an idle machine; a silent Redis would take five."""

JOB_ID = "email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"
REQUESTS = [
    *[("POST", "/v1/jobs", {"type": f"t{number}"}) for number in range(20)],
    ("POST", "/v1/jobs/batch", {"jobs": [{"type": f"t{number}"} for number in range(20)]}),
    ("GET", "/v1/jobs", None),
    ("GET", f"/v1/jobs/{JOB_ID}", None),
    ("GET", f"/v1/jobs/{JOB_ID}?wait=30", None),
    ("POST", f"/v1/jobs/{JOB_ID}/cancel", None),
    ("GET", "/v1/dead", None),
    ("POST", "/v1/dead/redrive", {"ids": [JOB_ID]}),
    ("GET", "/v1/queues", None),
    ("GET", "/v1/types", None),
    ("GET", "/v1/workers", None),
]


@pytest.fixture
async def ingest(link: FaultProxy, settings: IngestSettings) -> AsyncIterator[Ingest]:
    """Yield an ingest behind the proxy, which logs as a process does, because a terminal's tracebacks take seconds."""
    configure_logs("ingest", "info", StringIO())
    async with running_ingest(replace(settings, redis_url=link.url)) as running:
        yield running


async def readiness(ingest: Ingest) -> dict[str, bool]:
    """Return the checks of the readiness probe."""
    response = await ingest.http.get("/readyz")
    checks = {check["name"]: check["ok"] for check in response.json()["checks"]}
    assert response.status_code == (200 if all(checks.values()) else 503)
    return checks


async def wait_ready(ingest: Ingest, *, ready: bool = True) -> None:
    """Wait until the readiness probe says this about Redis."""

    async def is_so() -> bool:
        return (await readiness(ingest))["redis"] is ready

    await wait_until(is_so, f"redis is {'' if ready else 'not '}ready")


async def is_accepted(ingest: Ingest) -> bool:
    """Return whether a submission is accepted."""
    return (await ingest.http.post("/v1/jobs", json={"type": "email.send"})).status_code == 202


async def test_every_request_is_refused_soon_while_redis_says_nothing(ingest: Ingest, link: FaultProxy) -> None:
    """While Redis is silent every request is refused soon, however many queues and calls it needs."""
    await ingest.submit()
    link.swallow()
    took_s: dict[str, float] = {}

    async def ask(number: int, method: str, path: str, body: object) -> None:
        begun = time.monotonic()
        response = await ingest.http.request(method, path, json=body)
        took_s[f"{number} {method} {path}"] = time.monotonic() - begun
        problem(response, 503, "store-unreachable")
        assert int(response.headers["retry-after"]) >= 1

    async with anyio.create_task_group() as tasks:
        for number, request in enumerate(REQUESTS):
            tasks.start_soon(ask, number, *request)
    assert len(took_s) == len(REQUESTS)
    assert {name for name, seconds in took_s.items() if seconds > SOON_S} == set()
    link.cut()
    link.heal()
    await wait_until(lambda: is_accepted(ingest), "a submission is accepted")


@pytest.mark.parametrize("trouble", ["replica", "no replicas"])
async def test_ingest_is_not_ready_while_redis_takes_no_writes(ingest: Ingest, primary: Broker, trouble: str) -> None:
    """Ingest is not ready while Redis answers reads and refuses writes."""
    await wait_ready(ingest)
    if trouble == "replica":
        await primary.client.execute_command("REPLICAOF", "127.0.0.1", "1")
    else:
        await primary.client.config_set("min-replicas-to-write", 1)
    await wait_ready(ingest, ready=False)
    problem(await ingest.http.post("/v1/jobs", json={"type": "email.send"}), 503, "store-unreachable")
    assert (await ingest.http.get("/livez")).status_code == 200
    await primary.client.execute_command("REPLICAOF", "NO", "ONE")
    await primary.client.config_set("min-replicas-to-write", 0)
    await wait_ready(ingest)
    await ingest.submit()


async def test_ingest_is_ready_while_redis_is_full(ingest: Ingest, primary: Broker) -> None:
    """Ingest is ready while Redis is full, so that jobs can be read, cancelled and discarded."""
    job = await ingest.submit()
    await primary.client.config_set("maxmemory", "1")
    problem(await ingest.http.post("/v1/jobs", json={"type": "email.send"}), 503, "store-full")
    await ingest.services.watch.look(60.0)
    assert await readiness(ingest) == {"serving": True, "redis": True}
    assert (await ingest.http.post(f"/v1/jobs/{job['id']}/cancel")).status_code == 202
    await primary.client.config_set("maxmemory", "0")


async def is_in_sync(replica: Broker) -> bool:
    """Return whether a replica has all that its primary has."""
    return (await replica.client.info("replication"))["master_link_status"] == "up"


async def test_ingest_follows_a_failover_behind_one_address(
    ingest: Ingest, link: FaultProxy, primary: Broker, redis_binary: RedisBinary, tmp_path: Path, namespace: str
) -> None:
    """Ingest follows a failover behind one address without a restart, though the old primary stays up."""
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ingest.http.get, "/v1/queues")
    await ingest.submit()
    with start_embedded_redis(tmp_path / "second", binary=redis_binary) as server:
        async with open_broker(server.url, namespace=namespace) as second:
            await primary.client.config_set("repl-diskless-sync-delay", 0)
            await second.client.execute_command("REPLICAOF", *map(str, link.redis))
            await wait_until(lambda: is_in_sync(second), "the replica has all")
            await second.client.execute_command("REPLICAOF", "NO", "ONE")
            await primary.client.execute_command("REPLICAOF", "127.0.0.1", str(server.port))
            link.redis = ("127.0.0.1", server.port)
            await wait_ready(ingest)
            # More at once than before: none of the old connections may be kept for a busier time.
            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(ingest.submit, f"t{number}")
            assert len(await second.registry.queues()) == 21
