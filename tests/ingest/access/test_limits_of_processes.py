"""A limit holds over processes of ingest, also while they are killed and come back."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx2
import pytest
from chaos.fault_proxy import FaultProxy
from chaos.service import Service, ServicePlan
from ingest.access.conftest import bearer
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, MintedKey, RequestLimits, Role, mint_key
from millstream_ingest.limiting.bucket import Rate
from millstream_streams import Broker, KeyChange, StoredApiKey

JOB = {"type": "email.send"}
RATE = Rate(1.0, burst=100)
ROUNDS = 3
CLIENTS = 4
"""How many ask each process at once."""


@pytest.fixture
def ingests(link: FaultProxy, namespace: str, tmp_path: Path) -> Iterator[list[Service]]:
    """Yield two processes of ingest that ask for keys, which are killed in the end."""
    settings = {"NAMESPACE": namespace, "AUTH": "required", "PORT": "0", "REDIS_URL": link.url, "REDIS_TIMEOUT_S": "30"}
    with ExitStack() as stack:
        services = []
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            service = Service(
                ServicePlan(name="ingest", kind="ingest", settings={**settings, "ADMIN_PORT": "0"}, folder=folder), link
            )
            stack.callback(service.end)
            service.start({"PATH": ""})
            services.append(service)
        yield services


async def limited_key(primary: Broker) -> MintedKey:
    """Store a key with a limit."""
    minted = mint_key()
    stored = StoredApiKey(
        digest=minted.digest,
        tenant=DEFAULT_TENANT,
        name="limited",
        role=Role.SUBMITTER,
        created_at_ms=1,
        limits=RequestLimits(submissions_per_s=RATE.per_s, burst=RATE.burst),
    )
    assert await primary.api_keys.put_keys([KeyChange(minted.id, None, stored)])
    return minted


class Asker:
    """Asks processes with a key, and counts what they let in."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self.taken = 0

    async def submit(self, url: str, has_answered: anyio.Event) -> None:
        """Submit jobs, one after the other, until the process is killed."""
        for _ in range(RATE.burst // CLIENTS):
            try:
                answer = await self.http.post(f"{url}/v1/jobs", json=JOB)
            except httpx2.RequestError:
                return
            assert answer.status_code in {202, 429}, answer.text
            self.taken += answer.status_code == 202
            has_answered.set()

    async def wait_ready(self, service: Service) -> None:
        """Wait until a process is ready."""

        async def is_ready() -> bool:
            try:
                return (await self.http.get(f"{service.url('listening')}/readyz")).status_code == 200
            except httpx2.RequestError:
                return False

        await wait_until(is_ready, f"{service.name} is ready", timeout_s=120)


async def test_limit_holds_while_processes_are_killed(ingests: list[Service], primary: Broker):
    """Both are asked as fast as they answer, and one is killed meanwhile: each start lets in a lease more at most."""
    key = await limited_key(primary)
    async with httpx2.AsyncClient(trust_env=False, timeout=60, headers=bearer(key)) as http:
        asker = Asker(http)
        for service in ingests:
            await asker.wait_ready(service)
        begun = time.monotonic()
        for number in range(ROUNDS):
            killed, has_answered = ingests[number % 2], anyio.Event()
            async with anyio.create_task_group() as tasks:
                for service in ingests:
                    for _ in range(CLIENTS):
                        tasks.start_soon(asker.submit, service.url("listening"), has_answered)
                await has_answered.wait()
                killed.end()
            killed.start({"PATH": ""})
            await asker.wait_ready(killed)
        elapsed_s = time.monotonic() - begun
    starts = sum(len(service.pids) for service in ingests)
    allowed = RATE.burst + RATE.per_s * elapsed_s
    lost = ROUNDS * CLIENTS + starts * RATE.lease
    assert RATE.burst - lost <= asker.taken <= allowed + starts * RATE.lease
