"""A read of a workflow may be held back until it has ended or is stalled."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from ingest.serving import Ingest, problem
from ingest.workflows.test_workflows import PATH, submit
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobId
from millstream_ingest.inspection import waiting as settled_waiter
from millstream_streams import Broker, FlowNews

ONE = {"name": "a", "nodes": {"one": {"type": "a"}}}
TWO = {"name": "a", "nodes": {"one": {"type": "a"}, "two": {"type": "a", "after": ["one"]}}}


async def end(broker: Broker, workflow: str, state: str) -> None:
    """Tell a workflow what became of the job of its first node, as a dispatcher does."""
    [shard] = await broker.workflows.shards()
    await broker.workflows.note(shard, [FlowNews(workflow, "0", 1, JobId(""), state, "7")])


async def held(ingest: Ingest, path: str, act: Callable[[], Awaitable[object]]) -> str:
    """Ask for a workflow, do something while the response is held back, and return the state that it has."""
    states: list[str] = []

    async def ask() -> None:
        states.append((await ingest.get(path, wait=30))["workflow"]["state"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await wait_until(lambda: ingest.services.waiter.waiting == 1, "the request is held back")
        assert states == []
        await act()
    return states[0]


@pytest.mark.parametrize(("body", "ends_as"), [(ONE, "succeeded"), (ONE, "cancelled"), (TWO, "dead")])
async def test_a_hint_ends_the_wait(
    ingest: Ingest, broker: Broker, monkeypatch: pytest.MonkeyPatch, body: dict[str, object], ends_as: str
) -> None:
    """A wait ends as soon as the workflow has ended or nothing of it runs, however far its next look is."""
    monkeypatch.setattr(settled_waiter, "LOOK_EVERY_S", 10_000.0)
    workflow, waiter = (await submit(ingest, body))["id"], ingest.services.waiter
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiter.wait_for_workflow, DEFAULT_TENANT, workflow, 10_000.0)
        await wait_until(lambda: waiter.waiting == 1, "one waits")
        await end(broker, workflow, ends_as)
        await wait_until(lambda: waiter.waiting == 0, "the wait has ended")


async def test_the_answer_is_held_back(ingest: Ingest, broker: Broker) -> None:
    """A read with `wait` has the state in which the workflow has ended."""
    workflow = (await submit(ingest, TWO))["id"]
    assert await held(ingest, f"{PATH}/{workflow}", lambda: end(broker, workflow, "dead")) == "stalled"


async def test_a_lost_hint_is_made_up_for(ingest: Ingest, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait whose hint is lost ends with its next look."""
    monkeypatch.setattr(settled_waiter, "LOOK_EVERY_S", 0.02)
    workflow, waiter = (await submit(ingest, ONE))["id"], ingest.services.waiter
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiter.wait_for_workflow, DEFAULT_TENANT, workflow, 10_000.0)
        await wait_until(lambda: waiter.waiting == 1, "one waits")
        waiter._events[workflow] = set()  # the hint finds none to wake
        await end(broker, workflow, "succeeded")
        await wait_until(lambda: waiter.waiting == 0, "the wait has ended")


async def test_what_does_not_go_on_is_answered_at_once(ingest: Ingest, broker: Broker) -> None:
    """A wait for a workflow that has ended, that goes on for longer, or that is not there, ends with what there is."""
    workflow = (await submit(ingest, ONE))["id"]
    assert (await ingest.get(f"{PATH}/{workflow}", wait=0.05))["workflow"]["state"] == "running"
    await end(broker, workflow, "succeeded")
    assert (await ingest.get(f"{PATH}/{workflow}", wait=30))["workflow"]["state"] == "succeeded"
    unknown = broker.workflows.new_id(DEFAULT_TENANT)
    problem(await ingest.http.get(f"{PATH}/{unknown}", params={"wait": 30}), 404, "workflow-not-found")
    assert ingest.services.waiter._events == {}
