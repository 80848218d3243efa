"""A whole system, as `millstream up` runs it, with a population that shows what pages have to bear."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from console.townsfolk import HOSTILE, LONG_SCHEDULE, LONG_TYPE
from msgspec import Struct
from system.running import System, running_system
from waiting import wait_until

from millstream import Client, NewJob, Workflow, WorkflowRun, WorkflowState

BIG = 9_007_199_254_740_993
"""An integer that a script of a browser cannot hold."""


_UNHURRIED = {"MILLSTREAM_INTERVAL_S": "5", "MILLSTREAM_GAUGES_EVERY_S": "2"}
"""A town is looked at while other tests run beside it, and no test waits for its reaper."""


class Town(Struct, frozen=True):
    """The system, and jobs of it by what became of them; and the workflow of it."""

    system: System
    jobs: dict[str, str]

    @property
    def url(self) -> str:
        """Return the address of the console."""
        return self.system.console_url

    def client(self) -> Client:
        """Return a client of the API."""
        return self.system.client()


@contextmanager
def open_town(folder: Path) -> Iterator[Town]:
    """Run the town while the block lasts."""
    with running_system(
        folder,
        apps=("console.townsfolk:app",),
        environ=_UNHURRIED,
        workers=1,
        embeds_history=True,
        has_console=True,
    ) as system:
        jobs = anyio.run(_populate, system)
        yield Town(system, jobs)


async def _populate(system: System) -> dict[str, str]:
    """Submit jobs, and return the id of one in each state, by the state."""
    tags = {"customer": "acme", "note": HOSTILE}
    payload = {"invoice": BIG, "text": HOSTILE, HOSTILE: [1, 2, 3, 4, 5, 6], "deep": {"a": {"b": {"c": True}}}}
    many = [NewJob("town.succeed", {"n": n}, tags={"batch": str(n % 3)}) for n in range(40)]
    many += [NewJob("town.die", {"n": n}, tags=tags) for n in range(12)]
    async with system.client() as client:
        await client.submit_many(many)
        handles = {
            "succeeded": await client.submit("town.succeed", payload, tags=tags),
            "dead": await client.submit("town.die", payload, tags=tags),
            "buried": await client.submit("town.bury", payload),
            "running": await client.submit("town.linger"),
            "scheduled": await client.submit("town.succeed", payload, delay=3600, tags=tags),
            "long": await client.submit(LONG_TYPE, payload),
            "cancelled": await client.submit("town.succeed", {"n": 0}, delay=3600),
        }
        jobs = {name: handle.id for name, handle in handles.items()}
        job = NewJob("town.succeed", payload, tags=tags)
        await client.put_schedule(LONG_SCHEDULE, "*/15 8-19 * * 1-5", job, description=HOSTILE, paused=True)
        await client.put_template(LONG_SCHEDULE, job, description=HOSTILE)
        await wait_until(lambda: _is_declared(client), "the schedule of the town is declared")
        jobs["occasion"] = (await client.run_schedule("town.nightly")).job
        await client.cancel(jobs["cancelled"])
        flow = Workflow("town.pages")
        first = flow.add("first", "town.succeed", payload)
        broken = flow.add("broken", "town.succeed", first.result["nothing"])
        flow.map("behind", "town.succeed", over=broken.result)
        workflow = await client.run(flow)
        await wait_until(lambda: _is_stalled(workflow), "the workflow of the town is stalled")
        members = [job, NewJob("town.succeed", payload, delay=3600)]
        batch = await client.submit_batch("town.batch", members, on_complete=job)
        for name in ("succeeded", "dead", "buried", "long", "cancelled", "occasion"):
            await client.wait(jobs[name])
        (worker,) = await client.workers()
        total = len(many) + len(jobs) + 1 + len(members)
        await wait_until(lambda: _remembers(client, total), "the history has all jobs", 60)
    return {**jobs, "worker": worker.name, "workflow": workflow.id, "batch": batch.id}


async def _remembers(client: Client, total: int) -> bool:
    page = await client.jobs("", count=True)
    return page.count is not None and page.count.value >= total and not page.history_lag_s


async def _is_stalled(workflow: WorkflowRun) -> bool:
    return await workflow.state() is WorkflowState.STALLED


async def _is_declared(client: Client) -> bool:
    return any(one.name == "town.nightly" for one in (await client.schedules()).items)
