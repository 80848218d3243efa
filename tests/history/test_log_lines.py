"""Log lines of attempts are stored with the transition that ends them, and go with their job."""

from history_seeds import store
from msgspec.structs import replace

from millstream_contracts import (
    DEFAULT_TENANT,
    Event,
    EventKind,
    Job,
    JobState,
    JobTransition,
    JobType,
    KeptLine,
    KeptLines,
    Queue,
    made_at,
    new_job_id,
)
from millstream_history import open_history

QUEUE = Queue(DEFAULT_TENANT, JobType("mail.send"))
LINES = KeptLines(3, [KeptLine(1_795_000_000_000, "info", "to \0 ann", {"customer": "c1"})])


def a_job() -> Job:
    """Return a job that has died."""
    job_id = new_job_id(QUEUE)
    return Job(id=job_id, type=QUEUE.type, state=JobState.DEAD, version=3, created_at=made_at(job_id), deliveries=1)


def its_end(job: Job, lines: KeptLines | None = LINES) -> Event:
    """Return the event of its last attempt."""
    step = JobTransition(job.id, 3, "dead", 1, "attempts", 1, None, 5, None, lines)
    return Event("3-0", EventKind.DEAD, 1_795_000_000_000, "host:1:a", [step])


async def test_lines_are_read_where_they_are_asked_for(history_url):
    """A transition has its lines with what PostgreSQL cannot hold replaced, and none where they are not asked for."""
    job = a_job()
    async with open_history(history_url) as history:
        await store(history, QUEUE, job, [its_end(job)])
        [step] = await history.transitions(DEFAULT_TENANT, job.id, with_logs=True)
        [line] = LINES.lines
        assert step.log_lines == KeptLines(3, [replace(line, message="to \ufffd ann")])
        [short] = await history.transitions(DEFAULT_TENANT, job.id)
        assert short.log_lines is None


async def test_lines_are_erased_with_their_job(history_url):
    """Nothing of the lines is left of an erased job, and an event that comes late brings none back."""
    first, second = a_job(), a_job()
    async with open_history(history_url) as history:
        await store(history, QUEUE, first, [its_end(first)])
        for job in (first, second):
            await history.erasures.mark(DEFAULT_TENANT, [job.id])
            await history.erasures.blank(DEFAULT_TENANT, [job.id])
        await store(history, QUEUE, second, [its_end(second)])
        for job in (first, second):
            [step] = await history.transitions(DEFAULT_TENANT, job.id, with_logs=True)
            assert (step.kind, step.log_lines) == ("dead", None)
