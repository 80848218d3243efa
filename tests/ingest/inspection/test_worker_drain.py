"""`POST /v1/workers/{name}/drain` has a worker take no more jobs, and answers once the worker says so."""

from datetime import UTC, datetime

import anyio
import pytest
from ingest.serving import Ingest, problem
from msgspec.structs import replace
from waiting import wait_until

from millstream_contracts import WorkerInfo
from millstream_streams import Broker

NAME = "host:17:9f3c"
NOW = datetime.now(UTC)
WORKER = WorkerInfo(name=NAME, types=["email.send"], concurrency=4, busy=1, started_at=NOW, seen_at=NOW)
PATH = f"/v1/workers/{NAME}/drain"


@pytest.mark.parametrize("ends", [False, True])
async def test_it_is_answered_once_the_worker_drains(ingest: Ingest, broker: Broker, ends: bool) -> None:
    """The answer is the worker as it says that it is, also where it had no jobs and has ended already."""
    await broker.registry.beat(WORKER)
    listening: list[int] = []

    async def heed() -> None:
        if ends:
            await broker.registry.leave(NAME)
        else:
            await broker.registry.beat(replace(WORKER, state="draining"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            broker.listen_cancel,
            NAME,
            lambda _: None,
            lambda: listening.append(1),
            lambda _: None,
            lambda: tasks.start_soon(heed),
        )
        await wait_until(lambda: bool(listening), "the worker listens")
        response = await ingest.http.post(PATH)
        tasks.cancel_scope.cancel()
    assert response.status_code == 202
    assert (response.json()["name"], response.json()["state"]) == (NAME, "draining")
    assert response.json().get("busy", 0) == (0 if ends else 1)


async def test_a_worker_that_drains_already_is_not_asked_again(ingest: Ingest, broker: Broker) -> None:
    """A repetition is answered as the first request."""
    await broker.registry.beat(replace(WORKER, state="draining"))
    assert (await ingest.http.post(PATH)).json()["state"] == "draining"


async def test_it_is_refused_where_no_worker_answers(
    ingest: Ingest, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown worker is a 404, and a silent one a 504."""
    problem(await ingest.http.post(PATH), 404, "not-found")
    monkeypatch.setattr("millstream_ingest.inspection.worker_drain.WAIT_S", 0.05)
    await broker.registry.beat(WORKER)
    assert NAME in problem(await ingest.http.post(PATH), 504, "worker-silent")["detail"]
