"""The test kit for tests without an event loop: the same surface, with calls that block."""

import asyncio
import threading
from datetime import timedelta

import pytest
from testing.store_app import (
    Order,
    Pool,
    Receipt,
    app,
    archive,
    charge,
    send_mail,
    tax,
    wait_for_archive,
    wait_for_ever,
)

from millstream import JobFailedError, SyncClient
from millstream.testing import LeftoverError, SyncTesting, TestingError
from millstream_contracts import JobState


def test_a_job_runs_with_its_retries_and_children() -> None:
    """`run` blocks, and returns the decoded result."""
    pool = Pool()
    with app.testing_sync(state=pool) as t:
        begun = t.now
        assert t.run(charge, Order(2)) == Receipt(2, 3)
        assert t.now - begun == timedelta(seconds=11)
        assert pool.rows == ["archived 2 fence 1"]


def test_plain_handlers_run_in_the_thread_of_the_test() -> None:
    """A `def` handler runs in the thread of the test, whose transaction it so sees; a child of it is submitted."""
    threads: list[int] = []

    @app.job("thread.tell")
    def tell(order: Order) -> int:
        threads.append(threading.get_ident())
        return order.id

    try:
        with app.testing_sync(state=Pool()) as t:
            assert t.run(tell, Order(3)) == 3
    finally:
        del app.handlers["thread.tell"]
    assert threads == [threading.get_ident()]


def test_a_plain_handler_waits_for_a_plain_child() -> None:
    """A `def` handler that waits for a child does not hold up the child: that runs in another thread."""
    pool = Pool()
    with app.testing_sync(state=pool) as t:
        assert t.run(wait_for_archive, Order(4)) == 4
        assert pool.rows == ["archived 4 fence 1"]


def test_a_failure_is_raised_with_its_cause() -> None:
    """`run` raises JobFailedError, whose cause is what the handler raised."""
    with app.testing_sync(state=Pool()) as t:
        with pytest.raises(JobFailedError) as raised:
            t.run(charge, Order(404))
        assert type(raised.value.__cause__) is KeyError


def test_a_sync_client_submits_and_waits() -> None:
    """Code under test that blocks submits by a SyncClient, and waits by the clock of the kit."""

    def view(client: SyncClient) -> int:
        return client.submit(archive, Order(5), delay=20).result()

    with app.testing_sync(state=Pool()) as t:
        assert view(t.client) == 5
        assert [one.payload for one in t.submitted(archive)] == [Order(5)]


def test_code_on_another_loop_submits_through_the_kit() -> None:
    """Code that runs on a loop of its own, as an ASGI application in a test client, reaches the kit."""

    async def endpoint() -> int:
        return await (await archive.submit(Order(6))).result()

    with app.testing_sync(state=Pool()) as t:
        t.stub(archive).calls(lambda _: threading.get_ident())
        assert asyncio.run(endpoint()) not in {threading.get_ident(), 6}
        assert asyncio.run(t.async_client.get(t.submitted(archive)[0].id)).state is JobState.SUCCEEDED


def test_time_stubs_and_faults_are_the_same() -> None:
    """Time passes, stubs stand in, crashes happen."""
    pool = Pool()
    with app.testing_sync(state=pool) as t:
        t.stub(tax).returns(0.5)
        assert t.run(tax, Order(1)) == 0.5
        t.client.submit(send_mail, "later", delay=3600)
        t.advance(hours=1)
        assert pool.rows == ["mail later"]
        with t.crash(archive):
            t.run(archive, Order(1))
        with t.deliver_twice(archive):
            t.run(archive, Order(2))
        assert [row[-7:] for row in pool.rows[1:]] == ["fence 1", "fence 2"] * 2
        job = t.start(wait_for_ever)
        t.advance(minutes=1)
        with pytest.raises(JobFailedError, match="took longer"):
            job.result()


def test_a_plain_handler_is_called_by_the_test_itself() -> None:
    """`sync_context` gives what a plain handler needs, in the thread of the test."""
    with app.testing_sync(state=Pool()) as t:
        context = t.sync_context(attempt=2)
        assert archive(Order(1), context) == 1
        context.submit(archive, Order(2))
        assert [one.payload for one in t.submitted(archive)] == [Order(2)]


def test_leftovers_make_the_test_fail() -> None:
    """What is left behind is reported at the end."""
    with pytest.raises(LeftoverError, match="is queued"), app.testing_sync(state=Pool()) as t:
        t.client.submit(archive, Order(1))


def test_the_kit_says_that_it_is_not_open() -> None:
    """What is asked of a kit that is not open yet says how to open it."""
    closed: SyncTesting[Pool] = app.testing_sync(state=Pool())
    with pytest.raises(TestingError, match=r"with app\.testing_sync"):
        closed.run(send_mail, "x")


def test_updates_yield_the_first_and_the_last_state() -> None:
    """`updates()` of the sync client blocks until the job has ended."""
    with app.testing_sync(state=Pool()) as t:
        handle = t.client.submit(charge, Order(2))
        assert [job.state for job in handle.updates()] == [JobState.QUEUED, JobState.SUCCEEDED]
