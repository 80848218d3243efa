"""Clients follow events over HTTP: what they chose, at least once, and again from where they were."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest
from ingest.serving import Ingest, running_ingest
from msgspec.structs import replace
from streams.seeds import commit, seed, seed_dead, seed_running
from waiting import wait_until

from millstream.client.event_reader import EventReader
from millstream_contracts import DEFAULT_TENANT, JobType, LiveEvent, Queue
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker
from millstream_streams.reading.live_feed import LIVE_KEPT_S

OTHER = Queue(DEFAULT_TENANT, JobType("report"))


class Follower:
    """A client that follows events."""

    def __init__(self) -> None:
        self.reader = EventReader()
        self.heard: list[LiveEvent] = []
        self.gaps = 0

    def hear(self, piece: bytes) -> None:
        """Read a piece of the response."""
        for sent in self.reader.feed(piece):
            if sent.name == "gap":
                self.gaps += 1
            else:
                self.heard.append(msgspec.json.decode(sent.data, type=LiveEvent))

    async def wait_for(self, kinds: list[str]) -> None:
        """Wait until just these kinds of events have come, in this order."""
        await wait_until(lambda: [one.kind for one in self.heard] == kinds, f"{kinds} came")


@asynccontextmanager
async def following(
    ingest: Ingest, last_seen: str = "", headers: Mapping[str, str] | None = None, **query: Any
) -> AsyncIterator[Follower]:
    """Follow events while the block lasts, which begins when the stream is open; `headers` carry a credential."""
    follower, headers = Follower(), {**(headers or {}), **({"Last-Event-ID": last_seen} if last_seen else {})}
    async with (
        ingest.http.stream("GET", "/v1/events", params=query, headers=headers) as response,
        anyio.create_task_group() as tasks,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"

        async def listen() -> None:
            async for piece in response.aiter_bytes():
                follower.hear(piece)

        tasks.start_soon(listen)
        yield follower
        tasks.cancel_scope.cancel()


async def test_a_follower_gets_what_happens_from_now_on(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """A client gets the events of all queues from the moment on at which its stream opens, also of new queues."""
    await broker.registry.add_queues([queue])
    await seed(broker, queue, delay_ms=3_600_000)
    async with following(ingest) as follower:
        running = await seed_running(broker, queue)
        await commit(broker, running)
        await broker.registry.add_queues([OTHER])
        [other] = await seed(broker, OTHER)
        await wait_until(lambda: any(one.id == other for one in follower.heard), "the event of the new queue came")
    mine = [one for one in follower.heard if one.id == running.id]
    assert [(one.kind, one.state) for one in mine] == [
        ("submitted", "queued"),
        ("started", "running"),
        ("succeeded", "succeeded"),
    ]
    assert [one.version for one in mine] == sorted({one.version for one in mine})
    assert mine[1].worker == "w1"


async def test_a_follower_chooses_a_type_or_a_job(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """A client that asks for a type gets its jobs alone, and one that asks for a job that job alone."""
    await broker.registry.add_queues([queue, OTHER])
    [job_id, _] = await seed(broker, queue, 2, delay_ms=3_600_000)
    async with following(ingest, type=OTHER.type) as of_type, following(ingest, job=job_id) as of_job:
        await seed(broker, OTHER)
        await seed_dead(broker, queue)
        await ingest.http.post(f"/v1/jobs/{job_id}/cancel")
        await of_type.wait_for(["submitted"])
        await of_job.wait_for(["cancelled"])


async def test_a_follower_that_comes_back_misses_nothing(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """A client that names the last event it has seen gets what happened since, and some of what it knows."""
    await broker.registry.add_queues([queue])
    async with following(ingest) as follower:
        [first] = await seed(broker, queue)
        await follower.wait_for(["submitted"])
    [second] = await seed(broker, queue)
    async with following(ingest, last_seen=follower.reader.last_id) as back:
        await wait_until(lambda: {one.id for one in back.heard} >= {second}, "the missed event came")
        [third] = await seed(broker, queue)
        await wait_until(lambda: [one.id for one in back.heard][-2:] == [second, third], "and then the next one")
    assert {one.id for one in back.heard} <= {first, second, third}
    assert back.gaps == 0


async def test_a_follower_that_comes_back_too_late_is_told(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """A client whose last event is older than what is kept gets a gap, and a place from which it can go on."""
    now_s = (await broker.now()).timestamp()
    await broker.registry.add_queues([queue])
    async with following(ingest, last_seen=f"{round((now_s - LIVE_KEPT_S) * 1000)}-0") as follower:
        await wait_until(lambda: follower.gaps == 1, "it is told of the gap")
        await wait_until(lambda: follower.reader.last_id, "it is told its place")
    assert int(follower.reader.last_id.partition("-")[0]) >= round(now_s * 1000) - 1


async def test_a_stream_without_events_tells_the_client_its_place(ingest: Ingest, broker: Broker) -> None:
    """The place of a client is that of the opening of its stream, before anything has happened."""
    before = round((await broker.now()).timestamp() * 1000)
    async with following(ingest) as follower:
        await wait_until(lambda: follower.reader.last_id, "the first lines came")
    assert int(follower.reader.last_id.partition("-")[0]) >= before - 1


@pytest.mark.parametrize(
    ("query", "headers", "status", "says"),
    [
        ({"job": "nonsense"}, {}, 404, ""),
        ({"type": "no type"}, {}, 400, "type"),
        ({"type": "report", "job": "email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"}, {}, 400, "the job is of type"),
        ({"state": "dead"}, {}, 400, "state"),
        ({}, {"Last-Event-ID": "yesterday"}, 400, "Last-Event-ID"),
    ],
)
async def test_a_wrong_request_is_refused(ingest: Ingest, query, headers, status, says) -> None:
    """What a client cannot follow is refused before the stream begins."""
    response = await ingest.http.get("/v1/events", params=query, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert says in response.json()["detail"]


async def test_further_followers_than_allowed_are_refused(settings: IngestSettings, broker: Broker) -> None:
    """Above `max_listeners` a client is refused with 503, until another one has left."""
    async with running_ingest(replace(settings, max_listeners=1)) as ingest:
        async with following(ingest):
            refused = await ingest.http.get("/v1/events")
            assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
            gauge = ingest.services.registry.get_sample_value("millstream_live_listeners")
            assert gauge == 1
        await wait_until(lambda: ingest.services.events.count == 0, "ingest has noticed that it left")
        async with following(ingest):
            pass


async def test_head_opens_no_stream(ingest: Ingest) -> None:
    """HEAD has the headers of the stream, and leaves no listener behind."""
    response = await ingest.http.head("/v1/events")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream")
    assert ingest.services.events.count == 0


async def test_a_service_that_leaves_ends_the_streams(settings: IngestSettings, broker: Broker) -> None:
    """A stop ends every stream in order, so that its client goes to another process."""
    async with running_ingest(settings) as ingest, ingest.http.stream("GET", "/v1/events") as response:
        ingest.stop.set()
        ingest.hurry.set()
        pieces = [piece async for piece in response.aiter_bytes()]
    assert pieces[0].startswith(b"retry: ")
