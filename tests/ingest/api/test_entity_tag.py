"""The entity tag of a job: another one for all that the job shows anew."""

from datetime import UTC, datetime

from msgspec.structs import replace

from millstream_contracts import Job, JobId, JobState, JobType, Progress
from millstream_ingest.api.entity_tag import etag_of

JOB = Job(
    id=JobId("email.send_00X"),
    type=JobType("email.send"),
    state=JobState.RUNNING,
    version=2,
    created_at=datetime(2026, 11, 26, tzinfo=UTC),
)


def test_a_tag_tells_versions_and_progress_apart() -> None:
    """A client that asks with the tag it has seen is answered 304 only when nothing has changed."""
    noted = [None, Progress(40.0), Progress(41.0), Progress(40.0, "half"), Progress(40.0, "nearly half")]
    jobs = [replace(JOB, version=version, progress=progress) for version in (2, 3) for progress in noted]
    assert len({etag_of(job) for job in jobs}) == len(jobs)
    assert etag_of(JOB) == etag_of(replace(JOB)) == '"2"'
    assert etag_of(replace(JOB, progress=Progress(40.0, "half"))) == etag_of(jobs[3])
