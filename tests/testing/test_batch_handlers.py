"""The kit runs batch handlers: a call takes the jobs that are ready."""

from datetime import timedelta

import pytest

from millstream import App, Batch, JobFailedError, Retry, Snooze, SyncBatch

app = App("search")
calls: list[list[str]] = []


@app.batch("index", size=3, wait=0.2, timeout=10, retry=Retry(max_attempts=2))
async def index(texts: Batch[str, int]) -> None:
    """Index texts; an empty one fails, and `later` is for later at first."""
    calls.append(texts.payloads)
    for item in texts:
        if not item.payload:
            item.fail(ValueError("nothing to index"))
        elif item.payload == "later" and item.fence == 1:
            item.fail(Snooze(60))
        else:
            item.succeed(len(item.payload))


@app.batch("count")
def count(texts: SyncBatch[str, int]) -> None:
    """Count in a thread."""
    for item in texts:
        item.succeed(len(item.payload))


@pytest.fixture(autouse=True)
def no_calls() -> None:
    """Forget the calls of other tests."""
    calls.clear()


async def test_one_job_is_a_call_of_its_own() -> None:
    """`run` calls the handler for the job alone, and returns the result that it gave."""
    async with app.testing() as t:
        assert await t.run(index, "text") == 4
        assert await t.run(count, "text") == 4
    assert calls == [["text"]]


async def test_jobs_that_are_ready_share_calls() -> None:
    """A call takes up to `size` of the jobs that are ready."""
    async with app.testing() as t:
        jobs = [await t.client.submit(index, text) for text in ("a", "bb", "ccc", "dddd")]
        await t.run_ready()
        assert [await job.result() for job in jobs] == [1, 2, 3, 4]
    assert calls == [["a", "bb", "ccc"], ["dddd"]]


async def test_a_job_fails_alone_and_is_tried_again() -> None:
    """The attempts of a job are its own: the next call has it alone."""
    async with app.testing(allow_dead=True) as t:
        jobs = [await t.client.submit(index, text) for text in ("a", "", "later")]
        await t.run_ready()
        assert await jobs[0].result() == 1
        await t.advance(timedelta(minutes=2))
        with pytest.raises(JobFailedError):
            await jobs[1].result()
        assert await jobs[2].result() == 5
    assert calls == [["a", "", "later"], [""], ["later"]]


async def test_a_crash_costs_each_job_of_the_call(capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that vanishes at the end of a call has run all of its jobs, and they run again."""
    async with app.testing() as t:
        jobs = [await t.client.submit(index, text) for text in ("a", "bb")]
        with t.crash(index, at="end"):
            await t.run_ready()
        assert [await job.result() for job in jobs] == [1, 2]
    assert calls == [["a", "bb"], ["a", "bb"]]


async def test_a_stub_stands_in_for_each_job() -> None:
    """A stub of a batch handler answers for single jobs."""
    async with app.testing() as t:
        t.stub(index).calls(lambda text: len(text) + 10)
        assert await t.run(index, "text") == 14
    assert calls == []


async def test_a_call_runs_while_the_test_goes_on() -> None:
    """`start` begins a call of one job, which a test may cancel."""
    slow = App("slow")

    @slow.batch("sleep", timeout=5, retry=Retry(max_attempts=1))
    async def sleep(texts: Batch[str, None]) -> None:
        import anyio

        await anyio.sleep_forever()

    async with slow.testing(allow_dead=True) as t:
        job = await t.start(sleep, "a")
        await t.advance(seconds=6)
        with pytest.raises(JobFailedError):
            await job.result()
