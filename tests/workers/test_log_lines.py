"""What a handler logs goes with the end of its attempt, wherever it runs and however it ends."""

import logging
from collections.abc import Iterator

import anyio
import pytest
import structlog
from streams.seeds import events
from workers.floor import Floor, queue_of_id
from workers.plant import python_path
from workers.shop import app as shop
from workers.worker_logs import worker_logs

from millstream import App, Batch, Context, Discard, Retry, Snooze
from millstream_contracts import EventKind, JobId, JobTransition, limits
from millstream_streams import HISTORY_GROUP
from millstream_streams.reading.consumers import make_group
from millstream_workers.keeping import line_rate

ONCE = Retry(max_attempts=1)


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """Have logs as a worker has them."""
    with worker_logs():
        yield


async def end_of(floor: Floor, job_id: JobId) -> JobTransition:
    """Return how the first attempt of a job has ended."""
    await floor.settled(job_id)
    found = await events(floor.broker, queue_of_id(job_id))
    kinds = {EventKind.STARTED, EventKind.SUBMITTED}
    return next(job for event in found for job in event.jobs if event.kind not in kinds and job.id == job_id)


async def run(floor: Floor, job_type: str, payload: object = None, **options: object) -> JobTransition:
    """Run a job of a queue whose events are stored. Returns: how its first attempt has ended."""
    job_id = JobId(f"{job_type}_00{'0' * 26}")
    await make_group(floor.broker.client, floor.broker.keys.of(queue_of_id(job_id)).events, HISTORY_GROUP)
    return await end_of(floor, await floor.submit(job_type, payload, **options))


def said(end: JobTransition) -> list[tuple[str, str]]:
    """Return level and message of each line."""
    return [(line.level, line.message) for line in end.log_lines.lines] if end.log_lines else []


talker = App("talker")


@talker.job("loop", retry=ONCE)
async def on_loop(what: str, ctx: Context) -> None:
    """Log on the loop and from a thread."""
    ctx.log.info("begun", what=what, payload="secret", job_id="another")
    await anyio.to_thread.run_sync(logging.getLogger("library").warning, "%d left", 3)
    _end(what)


@talker.job("thread", retry=ONCE)
def in_thread(what: str) -> None:
    """Log from the thread of the handler."""
    structlog.get_logger().info("begun", what=what)
    logging.getLogger("library").warning("%d left", 3)
    _end(what)


@talker.job("all", logs="all", retry=Retry(max_attempts=2, base=0.0))
async def of_all(what: str, ctx: Context) -> None:
    """Log, and end well at the second attempt."""
    ctx.log.info("begun")
    if ctx.attempt == 1:
        _end(what)


@talker.job("none", logs="none", retry=ONCE)
async def of_none(what: str, ctx: Context) -> None:
    """Log what is not kept."""
    ctx.log.info("begun")
    _end(what)


@talker.job("bare", keeps="no_payload", retry=ONCE)
async def bare(what: str, ctx: Context) -> None:
    """Log what is not kept, for the history is to have no payloads."""
    ctx.log.info("begun")
    _end(what)


@talker.job("long", retry=ONCE)
async def long(count: int, ctx: Context) -> None:
    """Log many long lines."""
    for number in range(count):
        ctx.log.info("%d %s", number, "é" * 5000, more={"deep": ["x" * 9000]})
    _end("fail")


@talker.batch("batch", size=2, wait=30, retry=ONCE)
async def batch(items: Batch[str, None]) -> None:
    """Log of the call and of each job."""
    structlog.get_logger().info("called")
    for item in items:
        structlog.get_logger().info("about one", job_id=item.job_id, what=item.payload)
        if item.payload == "fail":
            item.fail(ValueError("no"))
        else:
            item.succeed()


@pytest.fixture
async def talking(floor: Floor) -> Floor:
    """Return a floor with a worker whose handlers log."""
    await floor.hire(talker, log_lines_bytes=8_192, lease_s=180.0)
    return floor


def _end(what: str) -> None:
    match what:
        case "fail":
            raise ValueError(what)
        case "log":
            structlog.get_logger().error("gave up", exc_info=KeyError("inner"))
            raise ValueError(what)
        case "discard":
            raise Discard(what)
        case "snooze":
            raise Snooze(0.01)


@pytest.mark.parametrize("where", ["loop", "thread"])
async def test_a_failed_attempt_has_its_lines(talking: Floor, where: str) -> None:
    """Lines of structlog and of `logging` go with a failed attempt, with their fields and without payloads."""
    end = await run(talking, where, "log")
    assert said(end) == [("info", "begun"), ("warning", "3 left"), ("error", "gave up")]
    first, second, third = end.log_lines.lines
    assert first.fields == {"what": "log"} | ({"job_id": "another"} if where == "loop" else {})
    assert second.fields == {"logger": "library"}
    assert third.fields["exception"].endswith("KeyError: 'inner'")
    assert end.log_lines.left_out == 0


@pytest.mark.parametrize("what", ["succeed", "discard"])
async def test_other_attempts_have_none_unless_their_type_asks(talking: Floor, what: str) -> None:
    """Nothing is sent for an attempt that did not fail, but where all are kept; nothing at all where none are."""
    assert said(await run(talking, "loop", what)) == []
    assert said(await run(talking, "all", what)) == [("info", "begun")]
    assert said(await run(talking, "none", "fail")) == []
    assert said(await run(talking, "bare", "fail")) == []


async def test_each_attempt_has_its_own_lines(talking: Floor) -> None:
    """The lines of an attempt are not those of the next one."""
    assert said(await run(talking, "all", "fail")) == [("info", "begun")]
    job = (await events(talking.broker, queue_of_id(JobId("all_00" + "0" * 26))))[-1].jobs[0]
    assert said(job) == [("info", "begun")]


async def test_lines_are_bounded(talking: Floor) -> None:
    """The last lines are kept, each cut, all within the setting; those that are left out are counted."""
    end = await run(talking, "long", 300)
    lines = end.log_lines.lines
    assert 1 < len(lines) < limits.MAX_LOG_LINES
    assert lines[-1].message.startswith("299 é")
    assert len(lines) + end.log_lines.left_out == 300
    assert max(len(line.message.encode()) for line in lines) <= limits.MAX_LOG_LINE_BYTES
    [worker] = talking.hired
    name, labels = "millstream_log_lines_dropped_total", {"type": "long", "reason": "bounds"}
    assert worker.metrics.get_sample_value(name, labels) == end.log_lines.left_out


async def test_lines_are_sent_at_a_rate(talking: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose attempts all fail sends no more lines than Redis has room for, and counts the others."""
    monkeypatch.setattr(line_rate, "BYTES_PER_S", 0)
    talking.hired[0].worker.parts.pipeline._line_rate._room = 0.0
    assert (await run(talking, "loop", "fail")).log_lines is None
    labels = {"type": "loop", "reason": "rate"}
    assert talking.hired[0].metrics.get_sample_value("millstream_log_lines_dropped_total", labels) == 2


async def test_a_batch_gives_each_job_its_lines_and_those_of_the_call(talking: Floor) -> None:
    """A job of a batch handler has the lines about it, and those that say of no job that they are about it."""
    queue = queue_of_id(JobId(f"batch_00{'0' * 26}"))
    await make_group(talking.broker.client, talking.broker.keys.of(queue).events, HISTORY_GROUP)
    one, two = await talking.submit_many("batch", ["fail", "succeed"])
    end = await end_of(talking, one)
    assert said(end) == [("info", "called"), ("info", "about one")]
    assert [line.fields for line in end.log_lines.lines] == [{}, {"what": "fail"}]
    assert said(await end_of(talking, two)) == []


async def test_nothing_is_sent_without_a_history(talking: Floor) -> None:
    """Events of which no consumer asks for lines carry none."""
    assert said(await end_of(talking, await talking.submit("loop", "fail"))) == []


async def test_none_are_kept_where_the_setting_says_so(floor: Floor) -> None:
    """With no bytes for lines there are none."""
    app = App("test")

    @app.job("loop", retry=ONCE)
    async def on_loop(ctx: Context) -> None:
        ctx.log.info("begun")
        raise ValueError

    await floor.hire(app, log_lines_bytes=0)
    assert said(await run(floor, "loop")) == []


@pytest.mark.parametrize("what", ["fail", "kill", "hang", "fork"])
async def test_a_handler_process_leaves_its_lines(floor: Floor, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of a handler in a process are there however the process ends, also after SIGKILL; a fork adds none."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    await floor.hire(shop, apps=("workers.shop:app",), concurrency=1, cleanup_s=0.1)
    end = await run(floor, "process.logs", what, **({"timeout_s": 1.0} if what == "hang" else {}))
    assert end.error is not None
    assert said(end)[:2] == [("info", "begun"), ("warning", "3 left")]
    assert "of the fork" not in {message for _, message in said(end)}
    # The process is used again where it can be: the lines of the last job are not those of this one.
    again = await run(floor, "process.logs", "fail")
    assert [message for _, message in said(again)].count("begun") == 1
