"""Both clients follow events over a real connection, and go on where an interrupted stream has ended."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

import anyio.to_thread
import msgspec
import pytest
from sdk.client.scripted_api import Connect, Reply, ScriptedApi, job_body, problem

from millstream import JobNotFoundError, UnavailableError
from millstream_contracts import Job, LiveEvent

JOB = "email.send_0001890000000000000000000000"


def stream(*blocks: str) -> Reply:
    """Return a stream that ends behind these blocks; the client comes back at once."""
    return Reply(200, "\n\n".join(("retry: 1", *blocks)).encode(), "text/event-stream")


def event(entry: str, kind: str = "started", version: int = 2) -> str:
    """Return an event as the API sends it."""
    body = {"id": JOB, "type": "email.send", "kind": kind, "state": "running", "version": version}
    return f"id: {entry}\nevent: job\ndata: {msgspec.json.encode({**body, 'at': '2026-01-02T03:04:05Z'}).decode()}"


async def taken(found: Any, most: int = 100) -> list[Any]:
    """Return what an iterator of either client yields, up to so many."""
    if isinstance(found, AsyncGenerator):
        async_items = []
        async for item in found:
            async_items.append(item)
            if len(async_items) == most:
                break
        await found.aclose()
        return async_items
    assert isinstance(found, Generator)

    def take() -> list[Any]:
        items = []
        for item in found:
            items.append(item)
            if len(items) == most:
                break
        found.close()
        return items

    return await anyio.to_thread.run_sync(take)


async def test_events_go_on_behind_the_last_one(connect: Connect, api: ScriptedApi) -> None:
    """A stream that ends is followed by one from the last complete event on, with the same choice."""
    api.script.extend([stream(event("1-0"), "id: 2-0", "id: 9-9\nevent: jo"), stream(event("3-0", "dead", 3), "")])
    found: list[LiveEvent] = await taken(await connect().events(type="email.send"), 2)
    assert [(one.kind, one.version) for one in found] == [("started", 2), ("dead", 3)]
    first, second = api.received[:2]
    assert first.query == second.query == {"type": ["email.send"]}
    assert ("last-event-id" in first.headers, second.headers["last-event-id"]) == (False, "2-0")
    assert first.headers["accept"] == "text/event-stream"


async def test_a_gap_is_told_and_is_no_event(connect: Connect, api: ScriptedApi) -> None:
    """`on_gap` is called where events are missing, and where an event cannot be read."""
    gaps: list[int] = []
    api.script.append(stream("event: gap\ndata: {}", "event: job\ndata: {", "event: other\ndata: {}", event("1-0"), ""))
    found = await taken(await connect().events(on_gap=lambda: gaps.append(1)), 1)
    assert ([one.kind for one in found], len(gaps)) == (["started"], 2)


async def test_a_refusal_that_passes_is_repeated(connect: Connect, api: ScriptedApi) -> None:
    """A service that is full or being restarted is asked again."""
    api.script.extend([problem(503, "full"), stream(event("1-0"), "")])
    assert len(await taken(await connect().events(), 1)) == 1


async def test_a_refusal_that_stays_is_raised(connect: Connect, api: ScriptedApi) -> None:
    """A wrong request is an error at once, and a service that stays away is one after `retry_for_s`."""
    api.script.append(problem(404, "There is no such job"))
    with pytest.raises(JobNotFoundError):
        await taken(await connect().events(job="x"))
    api.script.append(problem(503, "full"))
    with pytest.raises(UnavailableError):
        await taken(await connect(retry_for_s=0.0).events())


async def test_what_is_no_stream_is_an_error(connect: Connect, api: ScriptedApi) -> None:
    """A page of another server is no stream of events, although its status is 200."""
    api.script.append(Reply(200, b"<html>", "text/html"))
    with pytest.raises(Exception, match="is no answer of a Millstream API"):
        await taken(await connect(retry_for_s=0.0).events())


async def test_updates_yield_the_job_each_time_that_it_has_moved(connect: Connect, api: ScriptedApi) -> None:
    """The job is read when the stream is open and after each event; a version that is known is not yielded again."""
    states = [("queued", 1), ("running", 2), ("running", 2), ("succeeded", 3)]
    reads = [Reply(200, job_body(JOB, state, version=version)) for state, version in states]
    api.script.extend([stream(event("1-0"), event("1-1"), event("1-2"), ""), *reads])
    handle = await connect().job("email.send", JOB)
    found: list[Job] = await taken(await handle.updates())
    assert [(job.state, job.version) for job in found] == [("queued", 1), ("running", 2), ("succeeded", 3)]
    assert [request.path for request in api.received] == ["/v1/events", *[f"/v1/jobs/{JOB}"] * 4]
    assert api.received[0].query == {"job": [JOB]}


async def test_updates_of_a_job_that_has_ended_yield_it_once(connect: Connect, api: ScriptedApi) -> None:
    """A job that has settled is yielded as it is, and nothing is waited for."""
    api.script.extend([stream(), Reply(200, job_body(JOB, "dead", version=4))])
    assert [job.state for job in await taken(await connect().updates(JOB))] == ["dead"]
