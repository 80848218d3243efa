"""What the history is known to have: an event up to a stored version adds no state."""

import pytest

from millstream_contracts import DEFAULT_TENANT, Event, EventKind, JobError, JobTransition, JobType, Queue, QueueEvents
from millstream_dispatcher import stored_versions
from millstream_dispatcher.stored_versions import StoredVersions

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))
ERROR = JobError(type="E", message="m")


def told(*steps: tuple[str, int], kind: EventKind = EventKind.STARTED, error: JobError | None = None) -> QueueEvents:
    """Return an event for each of these jobs and versions."""
    return QueueEvents(
        QUEUE,
        [
            Event(f"{n}-0", kind, 1, "w", [JobTransition(job_id, version, "running", 1, "", 1, None, None, error)])
            for n, (job_id, version) in enumerate(steps)
        ],
    )


def test_a_job_is_told_up_to_the_version_that_is_stored() -> None:
    """A job is known as long as none of its events is newer than what is stored, here or just before."""
    known = StoredVersions()
    assert not known.told_by(told(("a", 1)), {})
    known.add({QUEUE: {"a": 3, "b": 2}})
    assert set(known.told_by(told(("a", 2), ("a", 3), ("b", 2), ("c", 1)), {})) == {"a", "b"}
    assert set(known.told_by(told(("a", 2), ("a", 4), ("b", 3)), {})) == set()
    assert set(known.told_by(told(("a", 4), ("c", 1)), {QUEUE: {"a": 4, "c": 1}})) == {"a", "c"}
    other = Queue(DEFAULT_TENANT, JobType("sms.send"))
    assert not known.told_by(QueueEvents(other, told(("a", 1)).events), {})
    known.clear()
    assert not known.told_by(told(("a", 1)), {})


@pytest.mark.parametrize("kind", [EventKind.RETRYING, EventKind.DEAD])
def test_a_failure_without_its_error_is_read(kind: EventKind) -> None:
    """The error of a failure whose event has none is read from the job, whatever is stored of that."""
    known = StoredVersions()
    known.add({QUEUE: {"a": 9}})
    assert not known.told_by(told(("a", 2), kind=kind), {})
    assert set(known.told_by(told(("a", 2), kind=kind, error=ERROR), {})) == {"a"}


@pytest.mark.parametrize(("most", "for_s"), [(1, 600.0), (100, 0.0)])
def test_what_is_known_is_forgotten(monkeypatch: pytest.MonkeyPatch, most: int, for_s: float) -> None:
    """Versions are known for a while, and no more than some: what was added last stays longest."""
    monkeypatch.setattr(stored_versions, "MOST_KNOWN", most)
    monkeypatch.setattr(stored_versions, "KNOWN_FOR_S", for_s)
    known = StoredVersions()
    for name in ("a", "b", "c", "d"):
        known.add({QUEUE: {f"{name}{n}": 1 for n in range(2)}})
    assert not known.told_by(told(("a0", 1)), {})
    assert set(known.told_by(told(("c0", 1), ("d0", 1)), {})) == {"c0", "d0"}
