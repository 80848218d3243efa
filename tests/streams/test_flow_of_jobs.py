"""A job is shown with the workflow or the batch to which it belongs."""

import pytest

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, new_job_id
from millstream_streams.reading.views import job_from_fields

QUEUE = Queue(DEFAULT_TENANT, JobType("a"))


@pytest.mark.parametrize(
    ("flow", "shown"),
    [
        (None, (None, None, None)),
        (b"WF_1:3.2:1", ("WF_1", None, None)),
        (b"BA_1:m:1", (None, "BA_1", None)),
        (b"BA_1:on_success:1", (None, "BA_1", "on_success")),
        (b"BA_1:on_fire:1", (None, "BA_1", None)),
        (b"\xff", ("\ufffd", None, None)),
    ],
    ids=["nothing", "node", "member", "callback", "event of a newer release", "garbage"],
)
def test_a_job_says_what_it_belongs_to(flow: bytes | None, shown: tuple[str | None, ...]) -> None:
    """A node names its workflow, a member its batch, a callback also the event for which it runs."""
    fields = {b"state": b"queued", b"spec": b"", **({b"flow": flow} if flow else {})}
    job = job_from_fields(QUEUE, new_job_id(QUEUE), fields)
    assert job is not None
    assert (job.workflow, job.batch, job.batch_event) == shown
