"""Unique keys of encrypted jobs are keyed hashes: Redis compares them, and who reads Redis learns nothing of them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from streams.seeds import ERROR, commit, fields_of, job_of, take_one
from streams.test_unique import DIGEST, key, record_of, store, unique_job

from millstream_codec import Codec, Keyring, LocalKeys
from millstream_contracts import Coding, Dead, Queue, Succeeded
from millstream_streams import ActionCode, Broker, EnqueueCode, NewJob, open_broker

ENCRYPT = Coding(encrypt=True)


@pytest.fixture
async def ours(broker: Broker) -> AsyncIterator[Broker]:
    """Yield the broker of a process that has the keys."""
    codec = Codec(keyring=Keyring(LocalKeys({"kek": b"1" * 32}, "kek")))
    async with open_broker(broker.address, namespace=broker.keys.namespace, codec=codec) as opened:
        yield opened


def secret_job(queue: Queue, **options: Any) -> NewJob:
    """Return an encrypted job with a unique key that is not stored yet."""
    return unique_job(queue, coding=ENCRYPT, **options)


async def test_nothing_of_the_key_stands_in_redis(ours: Broker, queue: Queue) -> None:
    """Neither the text of the key nor its plain digest is stored, and readers see the keyed hash."""
    stored = await store(ours, queue, secret_job(queue))
    assert stored.code is EnqueueCode.STORED
    assert await record_of(ours, queue) is None
    fields = await fields_of(ours, queue, stored.id)
    assert b"invoice" not in fields["unique"]
    assert DIGEST.encode() not in fields["unique"]
    shown = (await job_of(ours, queue, stored.id)).unique
    assert shown is not None
    assert shown.key.startswith("keyed:")
    assert shown.scope == "running"


async def test_encrypted_jobs_keep_each_other_out(ours: Broker, queue: Queue) -> None:
    """A job with the same key is kept out, also after a rotation, until the first has ended; another key is free."""
    first = await store(ours, queue, secret_job(queue))
    assert ours.codec.keyring is not None
    await ours.codec.keyring.rotate(queue.tenant)
    kept_out = await store(ours, queue, secret_job(queue, unique=key(on_conflict="reject")))
    assert (kept_out.code, kept_out.holder) == (EnqueueCode.UNIQUE_CONFLICT, first.id)
    returned = await store(ours, queue, secret_job(queue))
    assert returned.holder == first.id
    other = await store(ours, queue, secret_job(queue, unique=key(digest="ab" * 16)))
    assert other.code is EnqueueCode.STORED
    taken = await take_one(ours, queue)
    assert taken.id == first.id
    await commit(ours, taken, Succeeded())
    assert (await store(ours, queue, secret_job(queue))).code is EnqueueCode.STORED


async def test_a_redriven_job_takes_its_key_again(ours: Broker, queue: Queue) -> None:
    """A dead encrypted job holds no key; redriven it takes the same one, which keeps others out."""
    first = await store(ours, queue, secret_job(queue))
    await commit(ours, await take_one(ours, queue), Dead("attempts", ERROR))
    assert await ours.store.redrive(queue, [first.id]) == [ActionCode.DONE]
    assert (await store(ours, queue, secret_job(queue))).holder == first.id


async def test_plain_jobs_have_their_key_as_ever(ours: Broker, queue: Queue) -> None:
    """The key of a job that is not encrypted is stored as it is, and is another one than that of an encrypted job."""
    plain = await store(ours, queue, unique_job(queue))
    assert await record_of(ours, queue) == plain.id.encode()
    shown = (await job_of(ours, queue, plain.id)).unique
    assert shown is not None
    assert shown.key == "invoice 7"
    assert (await store(ours, queue, secret_job(queue))).code is EnqueueCode.STORED
