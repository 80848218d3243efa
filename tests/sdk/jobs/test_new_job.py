"""The SDK packs jobs into requests."""

from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.jobs.job_handle import JobHandle
from millstream.jobs.new_job import NewJob, batches
from millstream_contracts import Job, JobId, JobState, JobType, limits


@pytest.mark.parametrize("count", [1, 2, 10])
@given(sizes=st.lists(st.integers(0, 120), max_size=20))
def test_batches_hold_every_job_once_in_order(count: int, sizes: list[int]) -> None:
    """Batches hold every job once, in order, in bodies of a size that the API accepts."""
    jobs = [NewJob("x", [number, "x" * size]) for number, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "MAX_BATCH_BODY_BYTES", 200)
        patch.setattr(limits, "MAX_BATCH_JOBS", count)
        packed = list(batches(jobs))
    sent = [job["payload"][0] for _, body in packed for job in msgspec.msgpack.decode(body)["jobs"]]
    assert sent == list(range(len(jobs)))
    assert all(len(body) <= 200 for _, body in packed)
    assert [number for number, _ in packed] == [len(msgspec.msgpack.decode(body)["jobs"]) for _, body in packed]
    assert all(0 < number <= count for number, _ in packed)


def test_batches_stay_within_the_limits_of_the_api() -> None:
    """The largest batch of the API fits in one request, its header included."""
    sizes = [(10_000, 3_300), (9_999, 3_345)]
    for count, size in sizes:
        jobs = [NewJob("x", "y" * size)] * count
        bodies = [body for _, body in batches(jobs)]
        assert all(len(body) <= limits.MAX_BATCH_BODY_BYTES for body in bodies)


def test_batches_fill_a_request_before_the_next_when_jobs_are_large() -> None:
    """Large jobs use no more requests than their bytes need."""
    quarter = "x" * (limits.MAX_BATCH_BODY_BYTES // 4)
    assert [count for count, _ in batches([NewJob("x", quarter)] * 7)] == [3, 3, 1]


def test_new_job_hides_its_payload_when_shown() -> None:
    """The repr of a job does not show its payload."""
    assert "secret" not in repr(NewJob("x", {"password": "secret"}))


def test_text_that_is_no_unicode_is_a_clear_error() -> None:
    """A lone surrogate in a payload raises an error that names the type and not the payload."""
    with pytest.raises(TypeError, match=r"the payload of `email\.send` cannot be encoded"):
        NewJob("email.send", {"to": "\ud83d"})


def test_jobs_to_wait_for_are_ids_jobs_and_handles() -> None:
    """`after` takes one or several ids, jobs or handles, and anything else is named."""
    job_id = JobId("x_0001M8F0J0D5F8TT85935GNVHDXK")
    handle: JobHandle[int] = JobHandle(cast("Any", None), job_id)
    job = Job(id=job_id, type=JobType("x"), state=JobState.QUEUED, created_at=datetime(2026, 1, 1, tzinfo=UTC))
    for after in (job_id, handle, job, [job_id], (handle,)):
        assert msgspec.msgpack.decode(NewJob("x", after=after).content)["after"] == [job_id]
    with pytest.raises(TypeError, match="`after` takes ids, jobs and handles, not int"):
        NewJob("x", after=cast("Any", [7]))
