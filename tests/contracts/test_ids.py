"""A job id is unique, sorts by time, and names the queue of its job."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import (
    DEFAULT_TENANT,
    NAME_PATTERN,
    JobType,
    Queue,
    Tenant,
    ids,
    limits,
    made_at_ms,
    new_job_id,
    queue_of,
)

names = st.one_of(
    st.from_regex(NAME_PATTERN, fullmatch=True),
    # Names that look like other parts of an id.
    st.sampled_from(["a", "0", "00", "7f", "a.b", "a-b", "a-", "a.", "0.0", "a" * 64, "00" + "0" * 26]),
)
queues = st.builds(
    Queue, names.map(Tenant), names.map(JobType), st.integers(min_value=0, max_value=limits.MAX_PARTITIONS - 1)
)


@given(queues)
def test_an_id_leads_back_to_its_queue(queue: Queue) -> None:
    """An id names its type and partition, and the tenant is that of the caller."""
    job_id = new_job_id(queue)
    assert queue_of(queue.tenant, job_id) == queue
    assert queue_of(Tenant("other"), job_id) == Queue(Tenant("other"), queue.type, queue.partition)
    assert job_id.isascii()
    assert "/" not in job_id


@given(queues, st.text(min_size=1, max_size=3))
def test_an_id_with_more_to_it_is_no_id(queue: Queue, extra: str) -> None:
    """A text with anything before or behind an id is no id."""
    job_id = new_job_id(queue)
    assert queue_of(DEFAULT_TENANT, job_id + extra) is None
    assert queue_of(DEFAULT_TENANT, job_id + "\n") is None
    found = queue_of(DEFAULT_TENANT, extra + job_id)
    assert found is None or found.type == extra + queue.type


@given(st.text(max_size=120))
def test_any_text_is_an_id_or_none(text: str) -> None:
    """Any text is an id of the right form, or None."""
    found = queue_of(DEFAULT_TENANT, text)
    assert found is None or text.startswith(f"{found.type}_{found.partition:02x}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_",
        "a_00",
        "a_000000000000000000000000000",
        "a_00" + "0" * 25,
        "a_00" + "0" * 27,
        "a_0g" + "0" * 26,
        "a_0A" + "0" * 26,
        "A_00" + "0" * 26,
        "_00" + "0" * 26,
        "a_b_00" + "0" * 26,
        "a_00" + "8" + "0" * 25,
        "a_00" + "I" + "0" * 25,
        "a_00" + "0" * 25 + "a",
        "a_00" + "0" * 25 + "U",
        "-a_00" + "0" * 26,
        "a/b_00" + "0" * 26,
        "a{b}_00" + "0" * 26,
        "a" * 65 + "_00" + "0" * 26,
        "a_00" + "٣" * 26,
    ],
)
def test_what_is_no_id_is_none(text: str) -> None:
    """A text with a wrong alphabet or length in any part is None."""
    assert queue_of(DEFAULT_TENANT, text) is None


def test_ids_sort_by_the_time_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id of a later millisecond sorts behind, up to the last time that fits."""
    queue = Queue(DEFAULT_TENANT, JobType("a"))
    times_ms = [0, 1, 31, 32, 1023, 1024, 1_700_000_000_000, 1_700_000_000_001, 2**47, 2**48 - 1]
    made = []
    for at_ms in times_ms:
        monkeypatch.setattr(ids.time, "time_ns", lambda at_ms=at_ms: at_ms * 1_000_000)
        made.append(new_job_id(queue))
    assert made == sorted(made)
    assert all(queue_of(DEFAULT_TENANT, job_id) == queue for job_id in made)


def test_ids_are_uuids_of_version_7() -> None:
    """The last part of an id is a UUIDv7 in Crockford's base32."""
    digits = new_job_id(Queue(DEFAULT_TENANT, JobType("a")))[-26:]
    number = 0
    for digit in digits:
        number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(digit)
    assert number >> 76 & 0xF == 7
    assert number >> 62 & 0b11 == 0b10
    assert number < 2**128
    assert not re.search("[ILOU]", digits)


def test_ids_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand ids of one batch and one millisecond differ."""
    queue = Queue(DEFAULT_TENANT, JobType("a"))
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_700_000_000_000_000_000)
    assert len({new_job_id(queue) for _ in range(limits.MAX_BATCH_JOBS)}) == limits.MAX_BATCH_JOBS


@given(queues, queues)
def test_ids_of_two_queues_never_meet(one: Queue, other: Queue) -> None:
    """Ids of two types or partitions differ before their last underscore."""
    if (one.type, one.partition) != (other.type, other.partition):
        assert new_job_id(one)[:-26] != new_job_id(other)[:-26]


@given(queues)
def test_an_id_says_when_it_was_made(queue: Queue) -> None:
    """An id names the millisecond in which it was made, whatever its type is called."""
    before = time.time_ns() // 1_000_000
    made = made_at_ms(new_job_id(queue))
    assert before <= made <= time.time_ns() // 1_000_000
