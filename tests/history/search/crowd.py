"""Some thousand jobs of ten days in a history database, for searches; many of them share a millisecond."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from history_databases import execute

from millstream_contracts import (
    DEFAULT_TENANT,
    Job,
    JobError,
    JobState,
    JobType,
    Priority,
    Queue,
    Tenant,
    made_at,
    new_job_id,
)
from millstream_history import Rows, open_history, rows_of

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 10
NOW = BEGIN + timedelta(days=DAYS - 1, hours=18)
"""When the searches of the tests are asked."""

EMPTY_DAY = BEGIN + timedelta(days=3)

TYPES = ("email.send", "email.bounce", "sms.send", "report.generate", "image.resize")
OTHER_TENANT = Tenant("acme")
_STATES = [JobState.SUCCEEDED] * 90 + [JobState.DEAD] * 5 + [JobState.CANCELLED] * 2 + [JobState.EXPIRED, *JobState][:3]


def crowd(count: int, *, seed: int = 7, tenant: Tenant = DEFAULT_TENANT) -> Iterator[tuple[Queue, Job]]:
    """Yield jobs over all days but one, which has none. Every fiftieth moment has a hundred jobs."""
    dice = random.Random(seed)
    span_ms = (DAYS - 1) * 86_400_000 + 18 * 3_600_000
    at_ms = 0
    for number in range(count):
        if number % 100 == 0 or number // 100 % 50:
            at_ms = dice.randrange(span_ms)
        # Nothing happened on the fourth day.
        if 3 * 86_400_000 <= at_ms < 4 * 86_400_000:
            at_ms += 86_400_000
        yield _job(dice, number, round(BEGIN.timestamp() * 1000) + at_ms, tenant)


def _job(dice: random.Random, number: int, at_ms: int, tenant: Tenant) -> tuple[Queue, Job]:
    queue = Queue(tenant, JobType(dice.choices(TYPES, (50, 5, 20, 20, 5))[0]), number % 3)
    state, job_id = dice.choice(_STATES), new_job_id(queue, at_ms)
    created_at, user = made_at(job_id), int(dice.random() ** 4 * 1000)
    has_failed = state is JobState.DEAD or dice.random() < 0.03
    started_at = created_at + timedelta(milliseconds=dice.randrange(5_000))
    error = JobError(
        type=dice.choice(["shop.MailError", "TimeoutError", "KeyError"]),
        message=f"mail{dice.randrange(20)}.example.com refused 50% of order {number}",
        fingerprint=f"f{dice.randrange(30)}",
        attempt=3,
    )
    return queue, Job(
        id=job_id,
        type=queue.type,
        state=state,
        priority=dice.choice([*Priority]),
        version=3,
        attempts=dice.randrange(4),
        deliveries=1,
        crashes=int(number % 97 == 0),
        created_at=created_at,
        started_at=started_at if state not in {JobState.QUEUED, JobState.SCHEDULED} else None,
        finished_at=started_at + timedelta(milliseconds=dice.randrange(10_000)) if state.is_settled else None,
        worker=f"web-{dice.randrange(30)}" if dice.random() < 0.9 else None,
        payload={
            "user": {"id": user, "email": f"user{user}@example.com"},
            "items": [{"sku": f"SKU-{dice.randrange(200)}", "n": number % 5}],
            "amount": number * 7 % 1000,
        },
        result={"ref": f"ref{number % 400}"} if state is JobState.SUCCEEDED else None,
        error=error if has_failed else None,
        reason="attempts" if state is JobState.DEAD else None,
        tags={"customer": f"c{user}", "env": "prod" if number % 50 else "staging"} if dice.random() < 0.8 else None,
        trace_id=f"{number:032x}" if number % 2 else None,
    )


async def store_crowd(url: str, jobs: list[tuple[Queue, Job]]) -> None:
    """Store jobs."""
    by_queue: dict[Queue, dict[str, Job]] = {}
    for queue, job in jobs:
        by_queue.setdefault(queue, {})[job.id] = job
    async with open_history(url) as history:
        await history.store(_rows(by_queue))


def _rows(by_queue) -> Rows:
    return rows_of([], by_queue)


async def make_days(url: str) -> None:
    """Make a partition for each of the days."""
    for number in range(DAYS):
        day = BEGIN + timedelta(days=number)
        await execute(
            url,
            f"CREATE TABLE jobs_{day:%Y%m%d} PARTITION OF jobs "
            f"FOR VALUES FROM ('{day:%Y-%m-%d}+00') TO ('{day + timedelta(days=1):%Y-%m-%d}+00')",
        )
