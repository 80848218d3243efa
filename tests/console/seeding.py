"""Jobs for the pages of jobs: in Redis, and in the history as a dispatcher would have stored them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from history_seeds import events_of, store, store_at
from streams.seeds import job_of, seed_dead

from millstream_contracts import DEFAULT_TENANT, EventKind, Job, JobError, JobId, JobState, JobType, Queue, new_job_id
from millstream_history import open_history
from millstream_streams import Broker

MAIL = Queue(DEFAULT_TENANT, JobType("email.send"))
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
HOSTILE = '<script>window.hacked=1</script><img src=x onerror="alert(1)">\'"\u202egpj.exe'
BIG = 9_007_199_254_740_993
"""An integer that a script of a browser cannot hold."""

TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/mail.py", line 10, in connect
    raise TimeoutError
TimeoutError

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/shop/app.py", line 13, in email
    await send("x")
  File "/venv/lib/python3.12/site-packages/aiosmtplib/client.py", line 312, in send
    await self._execute()
    ~~~~~~~~~~~~~~~~~~^^
  File "/usr/lib/python3.12/asyncio/tasks.py", line 520, in wait_for
    return await fut
shop.mail.MailError: no route
"""
ERROR = JobError(type="shop.mail.MailError", message="no route", fingerprint="v2:abc", traceback=TRACEBACK, attempt=1)

DIED = (
    (EventKind.SUBMITTED, "queued"),
    (EventKind.STARTED, "running"),
    (EventKind.RETRYING, "scheduled"),
    (EventKind.RELEASED, "queued"),
    (EventKind.STARTED, "running"),
    (EventKind.DEAD, "dead"),
)


def past_job(number: int = 0, *, queue: Queue = MAIL, state: JobState = JobState.SUCCEEDED, **fields: Any) -> Job:
    """Return a job that has ended, so many seconds before `NOW`."""
    created_at = NOW - timedelta(seconds=number)
    ended = created_at + timedelta(seconds=2)
    return Job(
        id=new_job_id(queue, round(created_at.timestamp() * 1000)),
        type=queue.type,
        state=state,
        created_at=created_at,
        **{"version": 6, "attempts": 1, "started_at": created_at, "finished_at": ended, "deliveries": 1, **fields},
    )


async def remember(url: str, *jobs: Job, queue: Queue = MAIL) -> None:
    """Store jobs in the history alone, each with the life of one that died at its second attempt."""
    async with open_history(url) as history:
        for job in jobs:
            events = events_of(job, DIED, at_ms=round(job.created_at.timestamp() * 1000)) if job.error else ()
            await store(history, queue, job, events)


async def dead_jobs(broker: Broker, url: str | None, count: int, queue: Queue = MAIL, **options: Any) -> list[JobId]:
    """Make dead jobs in Redis, known to the history too where there is one."""
    await broker.registry.add_queues([queue])
    ids = [await seed_dead(broker, queue, **options) for _ in range(count)]
    for job_id in ids if url else ():
        await store_at(url or "", queue, await job_of(broker, queue, job_id))
    return ids
