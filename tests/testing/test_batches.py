"""Batches in the test kit: those of clients, with their callbacks, and members that handlers add."""

from datetime import timedelta

import pytest

from millstream import (
    App,
    BatchEvent,
    BatchId,
    BatchState,
    ConflictError,
    Context,
    Discard,
    FiredBatch,
    InvalidError,
    MemberState,
    NewJob,
    Retry,
    SyncContext,
    WaitTimeoutError,
)

app = App("library")


@app.job("book.read")
async def read(book: str) -> str:
    """Read a book."""
    return book


@app.job("shelf.scan")
async def scan(shelf: str, ctx: Context) -> int:
    """Add the books of a shelf."""
    await ctx.batch.submit(read, shelf)
    return len(await ctx.batch.submit_many(read, [f"{shelf}1", f"{shelf}2"]))


@app.job("shelf.sort")
def sort(shelf: str, ctx: SyncContext) -> str:
    """Add a shelf."""
    return ctx.batch.submit(scan, shelf).id


@app.job("library.report")
async def report(ctx: Context) -> str:
    """Say what became of a batch."""
    fired = ctx.fired_batch
    return "" if fired is None else f"{fired.name} {fired.event}: {fired.counts.get(MemberState.DEAD, 0)} dead"


@app.job("book.burn", retry=Retry(max_attempts=1))
async def burn(book: str) -> None:
    """Fail, until the book is wet."""
    if book != "wet":
        raise ValueError(book)


@app.job("shelf.empty")
async def empty(shelf: str, ctx: Context) -> None:
    """Say that the shelf is not there."""
    raise Discard(shelf)


FIRED = FiredBatch(id=BatchId("BA_1"), name="import", event=BatchEvent.DEATH, counts={MemberState.DEAD: 1})


async def test_what_a_handler_adds_to_its_batch_is_submitted_as_a_member() -> None:
    """Members are told from children that belong to no batch."""
    async with app.testing() as t:
        assert await t.run(scan, "a") == 2
        assert [(one.payload, one.in_batch) for one in t.submitted(read)] == [("a", True), ("a1", True), ("a2", True)]
        assert [one.in_batch for one in t.submitted(scan)] == [False]


async def test_a_plain_handler_adds_members_too() -> None:
    """The calls of a `def` handler block, as those of its context."""
    async with app.testing() as t:
        await t.run(sort, "b")
        assert [one.in_batch for one in t.submitted(scan)] == [True]


async def test_a_callback_is_called_with_what_its_batch_says() -> None:
    """A test gives a callback the tags that a batch would give it."""
    async with app.testing() as t:
        assert await report(t.context(tags=FIRED.tags)) == "import on_death: 1 dead"
        assert await report(t.context()) == ""
        assert await t.run(report, tags=FIRED.tags) == "import on_death: 1 dead"


async def test_a_batch_of_a_client_runs_its_callbacks() -> None:
    """When all members have succeeded, each callback whose event has come runs once, with the counts of its event."""
    async with app.testing() as t:
        jobs = [NewJob(read, "a"), NewJob(read, "b")]
        batch = await t.client.submit_batch("import", jobs, on_success=report, on_complete=report, on_death=report)
        done = await batch.wait()
        assert (done.state, done.counts) == (BatchState.SUCCEEDED, {MemberState.SUCCEEDED: 2})
        fired = {event: (one.fired, one.submitted) for event, one in done.callbacks.items()}
        assert fired == {
            BatchEvent.SUCCESS: (True, True),
            BatchEvent.COMPLETE: (True, True),
            BatchEvent.DEATH: (False, False),
        }
        await t.run_ready()
        job = await t.client.get(done.callbacks[BatchEvent.COMPLETE].job)
        assert job.result == "import on_complete: 0 dead"
        assert len(t.submitted(report)) == 2


async def test_a_dead_member_fires_once_and_a_redrive_goes_on() -> None:
    """The first death fires its callback; the batch is stalled until the member is redriven, and then goes on."""
    async with app.testing(allow_dead=True) as t:
        batch = await t.client.submit_batch("import", [NewJob(burn, "a"), NewJob(read, "b")], on_death=report)
        stalled = await batch.wait()
        assert (stalled.state, stalled.counts[MemberState.DEAD]) == (BatchState.STALLED, 1)
        (member,) = (await t.client.batch_jobs(batch.id, state="dead")).items
        for _ in range(2):
            await t.client.retry(member.job)
            assert (await batch.wait()).state is BatchState.STALLED
        assert len(t.submitted(report)) == 1
        await t.client.discard(ids=[member.job])
        assert (await batch.status()).state is BatchState.FAILED
        await t.run_ready()


async def test_an_open_batch_takes_members_until_it_is_closed() -> None:
    """Members join until the block ends, those of members after that too; the batch ends with the last of them."""
    async with app.testing() as t:
        async with t.client.batch("import", on_success=report) as batch:
            await batch.submit(read, "a")
            await batch.submit(scan, "b")
            assert (await batch.status()).state is BatchState.OPEN
        done = await batch.wait()
        assert (done.state, done.total) == (BatchState.SUCCEEDED, 5)
        with pytest.raises(ConflictError):
            await t.client.add_to_batch(batch.id, [NewJob(read, "late")])
        await t.run_ready()


async def test_a_batch_is_cancelled_with_its_members() -> None:
    """Members that wait are cancelled, and the callback that runs whatever became of them runs."""
    async with app.testing() as t:
        batch = await t.client.submit_batch("import", [NewJob(read, "a")], on_success=report, on_complete=report)
        await t.client.cancel_batch(batch.id)
        ended = await batch.status()
        assert (ended.state, ended.counts) == (BatchState.CANCELLED, {MemberState.CANCELLED: 1})
        assert [one.fired for one in ended.callbacks.values()] == [False, True]
        with pytest.raises(ConflictError):
            await t.client.cancel_batch(batch.id)
        await t.run_ready()


async def test_a_batch_that_is_not_closed_closes_itself() -> None:
    """A wait for an open batch ends in time; a day later it is closed, and says why."""
    async with app.testing() as t:
        made = await t.client.create_batch({"name": "import", "open": True, "expires_in_s": 86_400})
        with pytest.raises(WaitTimeoutError):
            await t.client.wait_for_batch(made.id, 5)
        await t.advance(days=2)
        ended = await t.client.batch_status(made.id)
        assert (ended.state, ended.reason) == (BatchState.SUCCEEDED, "expired")
        assert [one.id for one in (await t.client.batches()).items] == [made.id]


async def test_a_batch_is_stored_whole_or_not() -> None:
    """A batch with a job that is refused leaves nothing, and a repetition with its key is the same batch."""
    async with app.testing() as t:
        with pytest.raises(InvalidError):
            await t.client.submit_batch("import", [NewJob(read, "a"), NewJob("book.read", 7)])
        assert t.submitted(read) == []
        again = [await t.client.submit_batch("import", [NewJob(empty, "a")], idempotency_key="k") for _ in range(2)]
        assert again[0].id == again[1].id
        assert (await again[0].wait()).state is BatchState.FAILED


def test_batches_without_an_event_loop() -> None:
    """The kit for plain tests has the same."""
    with app.testing_sync() as t:
        with t.client.batch("import", on_success=report) as batch:
            batch.submit(read, "a")
        assert batch.wait(timeout=30).state is BatchState.SUCCEEDED
        t.run_ready()


async def test_a_wait_for_a_batch_passes_time() -> None:
    """Retries of members come at their time while a test waits for their batch."""
    async with app.testing() as t:
        before = t.now
        batch = await t.client.submit_batch("import", [NewJob(read, "a", delay=3600)])
        await batch.wait(timeout=7200)
        assert timedelta(hours=1) <= t.now - before <= timedelta(hours=2)
