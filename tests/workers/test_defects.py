"""A defect inside the worker itself costs as little as it can."""

import asyncio
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from chaos.fault_proxy import FaultProxy
from waiting import wait_until
from workers.floor import Floor

from millstream import App, Context
from millstream_contracts import JobState
from millstream_workers.isolation.launcher import Launcher
from millstream_workers.running.executor import Executor
from millstream_workers.running.thread_call import ThreadCall

FAR_S = 3600.0


def open_files() -> dict[int, str]:
    """Return the open files of this process, by number."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except FileNotFoundError:  # that of the listing itself
            continue
    return found


async def test_a_defect_of_the_worker_fails_one_attempt_and_gives_its_slot_back(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of the worker fails one attempt and frees its slot, and the job is retried."""
    app, execute, failed = App("test"), Executor.execute, list[object]()

    @app.job("one")
    async def one(ctx: Context) -> int:
        return ctx.attempt

    async def fail_once(executor: Executor, *args: Any, **options: Any) -> None:
        if not failed:
            failed.append(args)
            raise KeyError("a defect")
        await execute(executor, *args, **options)

    monkeypatch.setattr(Executor, "execute", fail_once)
    hired = await floor.hire(app, concurrency=1)
    job = await floor.run("one")
    assert (job.state, job.result, job.attempts, job.deliveries) == (JobState.SUCCEEDED, 2, 2, 2)
    await wait_until(lambda: hired.worker.parts.slots.busy == 0, "its slot is free")
    assert hired.attempts("one", "error") == 1


async def test_an_idle_worker_leaves_without_waiting_for_its_read(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle worker unblocks its own blocking read when it leaves, however long that read would go on."""
    monkeypatch.setattr("millstream_workers.fetching.fetcher.MAX_BLOCK_S", FAR_S)
    monkeypatch.setattr("millstream_streams.reading.ready_reader.MAX_BLOCK_S", FAR_S)
    app = App("test")

    @app.job("one")
    async def one() -> None: ...

    hired = await floor.hire(app)
    await wait_until(lambda: hired.worker.parts.reader.is_blocked, "it waits for work")
    hired.orders.stop.set()
    await wait_until(hired.is_gone.is_set, "it has left")


async def test_a_worker_that_cannot_register_hears_the_order_to_stop(
    floor: Floor, link: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that cannot register during an outage hears the order to stop during its pause."""
    monkeypatch.setattr("millstream_workers.worker.backoff_s", lambda _: FAR_S)
    app = App("test")

    @app.job("one")
    async def one() -> None: ...

    link.refuse()
    hired = await floor.launch(app, redis_url=link.url)
    await wait_until(lambda: link.traffic.connections, "it has tried to register")
    hired.orders.stop.set()
    await wait_until(hired.is_gone.is_set, "it has left")


async def test_a_worker_leaves_beside_a_handler_that_does_not_end_and_hands_its_job_back(floor: Floor) -> None:
    """A worker hands a job back whose handler does not end within the time for clean-up, and leaves."""
    app, inside, ended = App("test"), anyio.Event(), list[str]()
    may_end = anyio.Event()

    @app.job("one")
    async def one() -> None:
        with anyio.CancelScope(shield=True):
            inside.set()
            await may_end.wait()

    def abandon() -> None:
        ended.append("abandoned")

    hired = await floor.hire(app, abandon=abandon, grace_s=0.0, cleanup_s=0.05, lease_s=FAR_S)
    job_id = await floor.submit("one", max_attempts=1)
    await wait_until(inside.is_set, "it runs")
    hired.orders.stop.set()
    try:
        await wait_until(lambda: ended, "the worker ends beside it")
    finally:
        may_end.set()
    job = await floor.job(job_id)
    assert (job.state, job.handbacks, job.attempts, job.crashes) == (JobState.QUEUED, job.deliveries, 0, 0)
    assert hired.name not in {worker.name for worker in await floor.broker.registry.workers()}
    await wait_until(hired.is_gone.is_set, "the worker is gone")


async def test_a_handler_process_that_cannot_be_started_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler process that fails to start leaves neither an open file nor a blocked signal in its worker."""
    launcher = Launcher(["workers.shop:app"])
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    files, mask = open_files(), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            launcher.launch()
    assert open_files() == files
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
    launcher.close()
    launcher.close()
    assert len(open_files()) == len(files) - 1, "the error output is let go of once"


async def test_a_thread_that_never_began_is_not_waited_for() -> None:
    """A thread that was stopped before it began is not waited for, because it will report no end."""
    limiter = anyio.CapacityLimiter(1)
    async with limiter:
        task = asyncio.ensure_future(ThreadCall(lambda: None).run(limiter))
        await wait_until(lambda: limiter.statistics().tasks_waiting, "it waits for a thread")
        task.cancel()
        await wait_until(task.done, "it is stopped")
    assert task.cancelled()


async def test_a_thread_that_has_ended_already_is_not_waited_for() -> None:
    """A thread that has ended before its task is stopped is not waited for, because it reports its end only once."""
    begun, may_end = threading.Event(), threading.Event()

    def function() -> None:
        begun.set()
        may_end.wait(20.0)

    call = ThreadCall(function)
    task = asyncio.ensure_future(call.run(anyio.CapacityLimiter(1)))
    await wait_until(begun.is_set, "it runs")
    may_end.set()
    give_up_at = time.monotonic() + 20.0
    while not call._has_ended and time.monotonic() < give_up_at:
        pass  # without a turn of the loop, which would hear of the end
    task.cancel()
    await wait_until(task.done, "it is stopped")
    assert task.cancelled()
