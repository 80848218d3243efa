"""What the demo submits, and how each job has to end."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct

from millstream import Client, NewJob
from millstream_cli.demo.jobs import FLAKY_ATTEMPTS, POISON_ATTEMPTS
from millstream_contracts import Job, JobId, JobState

MAILS, REPORTS, FLAKY, POISON, DELAYED = 500, 20, 100, 5, 50
DELAY_S = 2.0
ROWS = 200
REPORT_FORMATS = ["csv", "xlsx"]

Complaint = str | None
Verdict = Callable[[Job], Complaint]


class Task(Struct, frozen=True):
    """Jobs of one type, and what each must have come to."""

    jobs: list[NewJob]
    verdict: Verdict
    """Returns what is wrong with a settled job, or None."""


def plan_work() -> list[Task]:
    """Return all that the demo submits."""
    return [
        Task([NewJob("email.send", _mail(number)) for number in range(MAILS)], _succeeded),
        Task([NewJob("report.generate", _report(number)) for number in range(REPORTS)], _left_its_files),
        Task([NewJob("demo.flaky") for _ in range(FLAKY)], _succeeded_at_last),
        Task([NewJob("demo.poison") for _ in range(POISON)], _is_dead),
        Task([NewJob("demo.delayed", delay=DELAY_S) for _ in range(DELAYED)], _waited),
    ]


async def submit_all(client: Client, tasks: Sequence[Task]) -> dict[JobId, Verdict]:
    """Submit everything. Returns: the verdict for each job id. Raises: ApiError, RuntimeError."""
    expected: dict[JobId, Verdict] = {}
    for task in tasks:
        receipt = await client.submit_many(task.jobs)
        for item in receipt.items:
            if item.id is None:
                raise RuntimeError(f"a submission was refused: {item.problem}")
            expected[item.id] = task.verdict
    return expected


def _mail(number: int) -> dict[str, Any]:
    return {
        "to": [f"reader-{number}@example.org"],
        "subject": f"Message {number}",
        "text": f"Hello, this is message {number} of {MAILS}.",
    }


def _report(number: int) -> dict[str, Any]:
    rows = [{"order": row, "customer": f"customer {row % 17}", "amount": row * 1.5} for row in range(ROWS)]
    return {"name": f"orders-{number}", "rows": rows, "formats": REPORT_FORMATS}


def _succeeded(job: Job) -> Complaint:
    return None if job.state is JobState.SUCCEEDED else f"is {job.state}, not succeeded"


def _succeeded_at_last(job: Job) -> Complaint:
    if job.attempts != FLAKY_ATTEMPTS:
        return f"took {job.attempts} attempts, not {FLAKY_ATTEMPTS}"
    return _succeeded(job)


def _is_dead(job: Job) -> Complaint:
    if job.state is not JobState.DEAD or job.attempts != POISON_ATTEMPTS:
        return f"is {job.state} after {job.attempts} attempts, not dead after {POISON_ATTEMPTS}"
    return None


def _waited(job: Job) -> Complaint:
    if job.started_at is not None and job.started_at - job.created_at < timedelta(seconds=DELAY_S):
        return f"started {DELAY_S:g} s too early"
    return _succeeded(job)


def _left_its_files(job: Job) -> Complaint:
    complaint = _succeeded(job)
    if complaint:
        return complaint
    if [file["format"] for file in job.result or []] != REPORT_FORMATS:
        return f"wrote {job.result}, not {REPORT_FORMATS}"
    for file in job.result:
        path = Path(file["path"])
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
            return f"left no {file['format']} file, or another than it said"
    return None
