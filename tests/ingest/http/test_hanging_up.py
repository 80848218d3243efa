"""Clients that disconnect while they wait cost the others neither a response nor a connection to Redis."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream
from chaos.fault_proxy import FaultProxy
from ingest.serving import Ingest, running_ingest
from msgspec.structs import replace
from streams.seeds import commit, take_one
from waiting import wait_until

from millstream_contracts import Queue
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker

CLIENTS = 400
SLOW_S = 0.15
"""Each way to Redis."""
CONNECTIONS = 4
"""For calls that take one in turn: that many calls at a time would keep the last client waiting for half a minute, and
it is refused after WAIT_FOR_TURN_S."""
FAR_S = 60.0
"""The time that an answer of Redis may take: nothing here is refused because this machine is busy."""


@pytest.fixture
async def ingest(link: FaultProxy, settings: IngestSettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ingest]:
    """Yield an ingest at the end of it."""
    monkeypatch.setattr("millstream_ingest.assembly.MAX_CONNECTIONS", CONNECTIONS)
    async with running_ingest(replace(settings, redis_url=link.url, redis_timeout_s=FAR_S)) as running:
        yield running


class Client:
    """A client with a connection of its own, which can disconnect."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream

    @classmethod
    async def asking(cls, ingest: Ingest, method: str, path: str, body: bytes = b"", prefer: str = "") -> "Client":
        """Return a client that has sent a request."""
        stream = await anyio.connect_tcp("127.0.0.1", ingest.http.base_url.port)
        head = f"{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nprefer: {prefer}\r\n"
        await stream.send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        return cls(stream)

    async def status(self) -> int:
        """Return the status of the response, and disconnect."""
        answer = await self.stream.receive()
        await self.stream.aclose()
        return int(answer.split()[1])


async def statuses(clients: list[Client]) -> Counter[int]:
    """Return how often each status was answered."""
    counts: Counter[int] = Counter()

    async def read(client: Client) -> None:
        counts[await client.status()] += 1

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for client in clients:
                tasks.start_soon(read, client)
    return counts


class Looks:
    """The requests that have begun to look whether their job has ended, and those whose look is under way."""

    def __init__(self, broker: Broker, patch: pytest.MonkeyPatch) -> None:
        views = type(broker.views)
        is_settled = views.is_settled
        self.begun: set[int] = set()
        self.under_way: set[int] = set()

        async def look(*arguments: Any) -> bool:
            request = anyio.get_current_task().id
            self.begun.add(request)
            self.under_way.add(request)
            try:
                return await is_settled(*arguments)
            finally:
                self.under_way.discard(request)

        patch.setattr(views, "is_settled", look)


async def hang_up(clients: list[Client]) -> None:
    """Close all of these connections at once."""
    for client in clients:
        await anyio.aclose_forcefully(client.stream)


async def test_those_who_hang_up_while_reads_are_under_way_cost_the_others_nothing(
    ingest: Ingest, link: FaultProxy, primary: Broker, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When waiting clients disconnect, the others still learn the end of their job, over the same connections."""
    looks = Looks(primary, monkeypatch)
    job = await ingest.submit()
    clients = [await Client.asking(ingest, "GET", f"/v1/jobs/{job['id']}?wait=30") for _ in range(CLIENTS)]
    await wait_until(lambda: len(looks.begun) == CLIENTS, "all wait")
    before = link.traffic
    link.swallow()
    ingest.services.waiter._wake_all()
    await wait_until(lambda: len(looks.under_way) == CLIENTS, "all look")
    await hang_up(clients[::2])
    await wait_until(lambda: ingest.services.waiter.waiting == CLIENTS // 2, "half of them are gone")
    link.heal()
    assert (await ingest.get(f"/v1/jobs/{job['id']}"))["state"] == "queued"
    await commit(primary, await take_one(primary, queue))
    assert await statuses(clients[1::2]) == {200: CLIENTS // 2}
    assert link.traffic.since(before).connections == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "prefer", "status"),
    [
        ("GET", "/v1/jobs/{id}", b"", "", 200),
        ("GET", "/v1/jobs/{id}?wait=1", b"", "", 200),
        ("GET", "/v1/jobs", b"", "", 200),
        ("GET", "/v1/dead", b"", "", 200),
        ("GET", "/v1/queues", b"", "", 200),
        ("GET", "/v1/types", b"", "", 200),
        ("POST", "/v1/jobs/{id}/cancel", b"", "", 202),
        ("POST", "/v1/jobs", json.dumps({"type": "email.send"}).encode(), "wait=1", 202),
        ("POST", "/v1/jobs/batch", json.dumps({"jobs": [{"type": "email.send"}] * 2}).encode(), "", 207),
    ],
)
async def test_crowd_is_answered_while_redis_is_slow_and_well(
    ingest: Ingest, link: FaultProxy, method: str, path: str, body: bytes, prefer: str, status: int
) -> None:
    """While Redis is slow, many clients are answered and not told that it is away, though others disconnect."""
    job = await ingest.submit()
    await ingest.http.post(f"/v1/jobs/{job['id']}/cancel")
    await ingest.submit("other")
    link.slow(delay_s=SLOW_S)
    path = path.format(id=job["id"])
    clients = [await Client.asking(ingest, method, path, body, prefer) for _ in range(CLIENTS)]
    await hang_up(clients[::2])
    assert await statuses(clients[1::2]) == {status: CLIENTS // 2}
    link.heal()
