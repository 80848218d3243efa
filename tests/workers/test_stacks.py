"""A worker tells where the handler of a running job is, and what it tells is code alone."""

import pytest
from waiting import wait_until
from workers.floor import Floor, queue_of_id
from workers.plant import Plant

from millstream_contracts import JobStack, JobState
from millstream_ingest.inspection.stacks import StackReader

WHERE = {
    "stack.loop": ("on_loop", "wait_for_it"),
    "stack.blocked": ("blocking", "hold"),
    "stack.thread": ("in_thread", "hold"),
    "stack.process": ("in_process", "hold"),
    "stack.apart": ("apart", "wait_for_it"),
}


@pytest.mark.parametrize("job_type", WHERE)
async def test_a_worker_tells_where_a_handler_is_wherever_it_runs(plant: Plant, floor: Floor, job_type: str) -> None:
    """The stack has the frames of users' code, outermost first, without ours, variables and payload.

    It is told of a handler that blocks the loop too.
    """
    machine = await plant.start(app_ref="workers.stacks_app:app", types=job_type)
    job_id = await floor.submit(job_type, str(plant.folder))
    queue, reader = queue_of_id(job_id), StackReader(floor.broker)
    outer, inner = (f"in {name}\n" for name in WHERE[job_type])
    told: list[JobStack] = []

    async def is_told() -> bool:
        answer = await reader.read(queue, job_id)
        if isinstance(answer, JobStack) and inner in answer.stack:
            told.append(answer)
        return bool(told)

    await wait_until(is_told, "the handler has come so far")
    (answer,) = told
    assert (answer.id, answer.attempt) == (job_id, 1)
    assert str(machine.pid) in answer.worker
    assert answer.stack.index(outer) < answer.stack.index(inner)
    for ours in (
        "millstream_workers",
        "asyncio/base_events",
        "asyncio/events",
        "anyio",
        "threading.py",
        str(plant.folder),
    ):
        assert ours not in answer.stack
    plant.let_go()
    assert (await floor.settled(job_id)).state is JobState.SUCCEEDED
