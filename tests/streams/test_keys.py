"""Each thing has a key of its own whatever types are called, and each queue lives in one hash slot."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from redis.crc import key_slot

from millstream_contracts import DEFAULT_TENANT, NAME_PATTERN, JobType, Queue, Tenant, limits, new_job_id
from millstream_streams.store.keys import PRIORITIES, Keys, QueueKeys

names = st.one_of(
    st.from_regex(NAME_PATTERN, fullmatch=True),
    # Names that look like our own words.
    st.sampled_from(
        ["ready", "job", "due", "dlq", "events", "settings", "ms", "queues", "00", "idempotency", "a", "a.b"]
    ),
)
queues = st.builds(
    Queue, names.map(Tenant), names.map(JobType), st.integers(min_value=0, max_value=limits.MAX_PARTITIONS - 1)
)

SHARED = {"ms:queues", "ms:hints:due", "ms:hints:settled", *Keys().fleet_keys}


def all_keys(keys: QueueKeys, queue: Queue) -> list[str]:
    """Return every key that a queue can have, with one job and one idempotency key."""
    job_id = new_job_id(queue)
    return [*keys.script_keys, keys.job(job_id), keys.idempotency_prefix + job_id]


@given(queues, queues)
def test_queues_share_no_key(one: Queue, other: Queue) -> None:
    """Two queues that differ in tenant, type or partition share no key."""
    assume(one != other)
    keys = Keys()
    assert not set(all_keys(keys.of(one), one)) & set(all_keys(keys.of(other), other))
    assert not set(all_keys(keys.of(one), one)) & SHARED


@given(queues)
def test_keys_of_a_queue_live_in_one_slot(queue: Queue) -> None:
    """All keys of a queue have its hash tag, so that its scripts run in one slot."""
    keys = Keys().of(queue)
    assert {key_slot(key.encode()) for key in all_keys(keys, queue)} == {key_slot(queue.tag.encode())}
    assert len(set(all_keys(keys, queue))) == 11


def test_keys_of_the_fleet_live_in_one_slot() -> None:
    """All keys of the registry live in one slot."""
    assert len({key_slot(key.encode()) for key in Keys().fleet_keys}) == 1


@given(queues)
def test_tag_names_its_queue(queue: Queue) -> None:
    """The tag of a queue, as the registry stores it, parses back to the queue."""
    assert Queue.from_tag(queue.tag) == queue
    assert re.fullmatch(r"[a-z0-9./-]+/[0-9a-f]{2}", queue.tag)


@pytest.mark.parametrize("tag", ["", "a", "a/b", "a/b/c/d", "a/b/xx", "a/b/"])
def test_from_tag_refuses_what_is_no_tag(tag: str) -> None:
    """A text that is not three parts with a number last is refused as a tag."""
    with pytest.raises(ValueError, match=r".+"):
        Queue.from_tag(tag)


@given(st.binary(max_size=64))
def test_idempotency_keys_reach_no_other_key(digest: bytes) -> None:
    """The Redis key of an idempotency key is no other key of the queue, whatever the client sends."""
    queue = Queue(DEFAULT_TENANT, JobType("a"))
    keys = Keys().of(queue)
    key = keys.idempotency_prefix.encode() + digest
    others = {one.encode() for one in (*keys.script_keys, keys.job(new_job_id(queue)))}
    assert key not in others
    assert key_slot(key) == key_slot(queue.tag.encode())


def test_scripts_know_priorities_by_their_place() -> None:
    """The order of the ready streams is that of the numbers 1, 2, 3 in script calls."""
    keys = Keys().of(Queue(DEFAULT_TENANT, JobType("a")))
    assert [key.rpartition(":")[2] for key in keys.ready] == [priority.value for priority in PRIORITIES]
    assert keys.script_keys[:3] == keys.ready


def test_namespaces_are_apart() -> None:
    """Two namespaces share no key."""
    queue = Queue(DEFAULT_TENANT, JobType("a"))
    assert not set(all_keys(Keys("one").of(queue), queue)) & set(all_keys(Keys("two").of(queue), queue))


def test_hints_of_workers_are_apart() -> None:
    """Each worker has a hint channel of its own."""
    assert Keys().hint_cancel("h:1:a") != Keys().hint_cancel("h:1:b")
